package app

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"filippo.io/age"
	"github.com/sirupsen/logrus"

	"omnirapeutic/config"
	"omnirapeutic/platform/datadir"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/postgres"
)

// errNotPrivate is returned for a configured database.
var errNotPrivate = errors.New("the database is configured with OMNI_DATABASE_URL: back it up with its own programs " +
	"(docs/operations.md)")

// BackupOptions say where a backup is written.
type BackupOptions struct {
	Folder     string   // created if missing
	Recipients []string // age public keys (age1…) that can decrypt it; none: it is not encrypted
	Keep       int      // number of backups that stay in the folder; 0: all
}

// BackupFile is a finished backup.
type BackupFile struct {
	Path    string
	Bytes   int64
	Files   int      // of PostgreSQL
	Removed []string // older backups that were removed
}

// Names of backups sort by time.
const (
	backupTime    = "2006-01-02T15-04-05Z"
	backupPattern = "omnirapeutic-????-??-??T??-??-??Z.tar.gz"
	sealedSuffix  = ".age"
)

// Back writes a backup of the private PostgreSQL, also while it is in use, and records the result there. The file
// is complete once it has its name. Errors: errNotPrivate, and the errors of [postgres.Back].
func Back(ctx context.Context, c config.Config, o BackupOptions, logger logrus.FieldLogger) (BackupFile, error) {
	if c.Database.URL != "" {
		return BackupFile{}, errNotPrivate
	}
	recipients, err := recipientsOf(o.Recipients)
	if err != nil {
		return BackupFile{}, err
	}
	b, err := back(ctx, c, o, recipients, logger)
	if _, missing := errors.AsType[*postgres.NoCluster](err); missing {
		return b, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	recorded := postgres.WithRunning(ctx, privateOptions(c, logger), func(ctx context.Context, url string) error {
		return db.RecordBackup(ctx, url, err == nil)
	})
	if recorded != nil {
		logger.WithFields(logrus.Fields{"event": "backup_not_recorded", "error": recorded}).
			Warn("the result of the backup could not be recorded in the database, so its metrics are old")
	}
	return b, err
}

// recordTimeout limits the recording of a backup, which may have to start the server.
const recordTimeout = time.Minute

func back(
	ctx context.Context, c config.Config, o BackupOptions, recipients []age.Recipient, logger logrus.FieldLogger,
) (BackupFile, error) {
	if err := os.MkdirAll(o.Folder, 0o700); err != nil {
		return BackupFile{}, err
	}
	name := "omnirapeutic-" + time.Now().UTC().Format(backupTime) + ".tar.gz"
	if len(recipients) > 0 {
		name += sealedSuffix
	}
	b := BackupFile{Path: filepath.Join(o.Folder, name)}
	partial, err := os.OpenFile(b.Path+".partial", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return b, err
	}
	defer func() { _ = os.Remove(partial.Name()) }() // remains only after a failure
	written, err := writeBackup(ctx, privateOptions(c, logger), partial, recipients)
	if err := errors.Join(err, partial.Sync(), partial.Close()); err != nil {
		return b, err
	}
	info, err := os.Stat(partial.Name())
	if err != nil {
		return b, err
	}
	b.Files, b.Bytes = written.Files, info.Size()
	if err := os.Rename(partial.Name(), b.Path); err != nil {
		return b, err
	}
	b.Removed, err = removeBackups(o)
	return b, err
}

// privateOptions returns the options of the private PostgreSQL.
func privateOptions(c config.Config, logger logrus.FieldLogger) postgres.Options {
	return postgres.Options{
		Dir: filepath.Join(c.DataDir, "postgres"), Bin: c.PostgresBin, Binaries: datadir.Binaries(c.DataDir),
		NoFetch: !c.PostgresFetch, MaxConnections: c.Database.MaxConns + ownConnections, Logger: logger,
	}
}

// ownConnections are the connections of the private PostgreSQL for operators.
const ownConnections = 10

func recipientsOf(keys []string) ([]age.Recipient, error) {
	recipients := make([]age.Recipient, len(keys))
	for i, key := range keys {
		var err error
		if recipients[i], err = age.ParseX25519Recipient(key); err != nil {
			return nil, fmt.Errorf("--recipient %s is not a public key of age (age1…): %w", key, err)
		}
	}
	return recipients, nil
}

// writeBackup writes a compressed and, with recipients, encrypted backup.
func writeBackup(
	ctx context.Context, o postgres.Options, to io.Writer, recipients []age.Recipient,
) (b postgres.Backup, err error) {
	err = writeSealed(to, recipients, gzip.BestSpeed, func(compressed io.Writer) error {
		b, err = postgres.Back(ctx, o, compressed)
		return err
	})
	return b, err
}

// writeSealed compresses and, with recipients, encrypts what the function writes.
func writeSealed(to io.Writer, recipients []age.Recipient, level int, write func(io.Writer) error) error {
	closers := []io.Closer{}
	if len(recipients) > 0 {
		sealed, err := age.Encrypt(to, recipients...)
		if err != nil {
			return err
		}
		to, closers = sealed, append(closers, sealed)
	}
	compressed, err := gzip.NewWriterLevel(to, level)
	if err != nil {
		return err
	}
	err = write(compressed)
	for _, c := range slices.Backward(append(closers, compressed)) {
		err = errors.Join(err, c.Close())
	}
	return err
}

// removeBackups removes the oldest backups of the folder, and returns their names.
func removeBackups(o BackupOptions) (removed []string, err error) {
	if o.Keep == 0 {
		return nil, nil
	}
	entries, err := os.ReadDir(o.Folder) // sorted by name
	if err != nil {
		return nil, err
	}
	var backups []string
	for _, e := range entries {
		plain, _ := filepath.Match(backupPattern, e.Name())
		sealed, _ := filepath.Match(backupPattern+sealedSuffix, e.Name())
		if plain || sealed {
			backups = append(backups, e.Name())
		}
	}
	for _, name := range backups[:max(0, len(backups)-o.Keep)] {
		if err := os.Remove(filepath.Join(o.Folder, name)); err != nil {
			return removed, err
		}
		removed = append(removed, name)
	}
	return removed, nil
}

// RestoreBackup creates the private PostgreSQL in the data folder from a backup. The identities are a file
// with private keys of age; "" for a backup that is not encrypted.
func RestoreBackup(c config.Config, path, identities string, logger logrus.FieldLogger) (postgres.Backup, error) {
	if c.Database.URL != "" {
		return postgres.Backup{}, errNotPrivate
	}
	file, err := os.Open(path)
	if err != nil {
		return postgres.Backup{}, err
	}
	defer file.Close()
	content, err := decrypted(bufio.NewReader(file), identities)
	if err != nil {
		return postgres.Backup{}, fmt.Errorf("%s: %w", path, err)
	}
	archive, err := gzip.NewReader(content)
	if err != nil {
		return postgres.Backup{}, fmt.Errorf("%s is not a backup: %w", path, err)
	}
	return postgres.Restore(privateOptions(c, logger), archive)
}

// decrypted returns the content of a backup, encrypted or not.
func decrypted(from *bufio.Reader, identities string) (io.Reader, error) {
	const begins = "age-encryption.org/"
	start, _ := from.Peek(len(begins))
	isEncrypted := string(start) == begins
	switch {
	case isEncrypted && identities == "":
		return nil, errors.New("it is encrypted: name the file with your private key of age with --identity")
	case !isEncrypted:
		return from, nil
	}
	keys, err := os.Open(identities)
	if err != nil {
		return nil, err
	}
	defer keys.Close()
	parsed, err := age.ParseIdentities(keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", identities, err)
	}
	return age.Decrypt(from, parsed...)
}
