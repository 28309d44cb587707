package postgres

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"omnirapeutic/platform/db/pgurl"
)

// Backup describes a backup of a private server.
type Backup struct {
	Version int       `json:"version"` // PostgreSQL's major version
	Begun   time.Time `json:"begun"`   // the backup has every commit before this time, and may have later ones
	Files   int       `json:"files"`
}

// Names in the archive of a backup.
const (
	clusterFolder = "cluster/"
	passwordsFile = "passwords.json"
	describedFile = "backup.json" // the last one, so that a shortened archive is recognized
	manifestFile  = "backup_manifest"
)

// Back writes a backup of the private server in the folder as a tar archive: the data directory, with the
// write-ahead log that it needs, and the passwords of the roles. The server may be in use by another
// program; otherwise it is started meanwhile. Errors: as for [Start], except [ErrLocked], and
// *[NoCluster].
func Back(ctx context.Context, o Options, to io.Writer) (b Backup, err error) {
	if !exists(filepath.Join(o.Dir, "cluster", "PG_VERSION")) {
		return b, &NoCluster{o.Dir}
	}
	c, stop, err := running(ctx, o)
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	b = Backup{Version: c.version, Begun: time.Now().UTC().Truncate(time.Second)}
	archive := tar.NewWriter(to)
	if b.Files, err = c.copyTo(ctx, archive); err != nil {
		return b, err
	}
	passwords, err := json.Marshal(c.passwords)
	if err != nil {
		return b, err
	}
	described, err := json.Marshal(b)
	if err != nil {
		return b, err
	}
	return b, errors.Join(
		addFile(archive, passwordsFile, passwords), addFile(archive, describedFile, described), archive.Close())
}

// WithRunning calls fn with the URL of the private server for the program's role. The server may be in use by another
// program; otherwise it is started meanwhile. Errors: as for [Back], and that of fn.
func WithRunning(ctx context.Context, o Options, fn func(ctx context.Context, url string) error) error {
	c, stop, err := running(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(fn(ctx, c.url(AppRole, defaultDatabase)), stop())
}

// NoCluster is returned if a folder has no private server.
type NoCluster struct{ Dir string }

func (e *NoCluster) Error() string { return "there is no private PostgreSQL in " + e.Dir }

// running returns the running server in the folder, of this program or another one.
func running(ctx context.Context, o Options) (c cluster, stop func() error, err error) {
	s, err := Start(ctx, o)
	if err == nil {
		return s.cluster, func() error { return s.Stop(context.WithoutCancel(ctx)) }, nil
	}
	if !errors.Is(err, ErrLocked) {
		return c, nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return c, nil, err
	}
	o.Dir = dir
	a, err := serverAccount(dir)
	if err != nil {
		return c, nil, err
	}
	c = cluster{options: o, account: a, dir: filepath.Join(dir, "cluster")}
	if c.version, err = clusterVersion(c.dir); err != nil {
		return c, nil, err
	}
	if err := c.readPasswords(false); err != nil {
		return c, nil, err
	}
	c.socketDir, err = makeSocketDir(dir, a)
	return c, func() error { return nil }, err
}

// copyTo copies the data directory of the running server, by its replication protocol, and returns the
// number of files. See PostgreSQL's manual, "Streaming Replication Protocol", BASE_BACKUP.
func (c *cluster) copyTo(ctx context.Context, archive *tar.Writer) (int, error) {
	conn, err := c.connectForReplication(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// The slot keeps the log of the time of the backup. It ends with the connection.
	const slot = `CREATE_REPLICATION_SLOT "omnirapeutic_backup_%d" TEMPORARY PHYSICAL (RESERVE_WAL)`
	if err := exchange(ctx, conn, fmt.Sprintf(slot, conn.PID()), nil); err != nil {
		return 0, err
	}
	copied, received := io.Pipe()
	manifest := &bytes.Buffer{}
	ended := make(chan error, 1)
	go func() {
		to := &baseBackup{files: received, manifest: manifest}
		err := exchange(ctx, conn, "BASE_BACKUP (LABEL 'omnirapeutic', CHECKPOINT 'fast', WAL true, MANIFEST 'yes')", to.message)
		_ = received.CloseWithError(err) // nil: the end of the archive
		ended <- err
	}()
	files, err := copyFiles(archive, copied)
	_ = copied.CloseWithError(errors.Join(err, errors.New("the backup cannot be written"))) // ends the exchange
	if err = errors.Join(<-ended, err); err != nil {
		return files, err
	}
	return files + 1, addFile(archive, clusterFolder+manifestFile, manifest.Bytes())
}

func (c *cluster) connectForReplication(ctx context.Context) (*pgconn.PgConn, error) {
	settings, err := pgurl.Parse(c.url(superuser, "postgres"))
	if err != nil {
		return nil, err
	}
	settings.RuntimeParams["replication"] = "true"
	settings.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return pgconn.ConnectConfig(ctx, &settings.Config)
}

// exchange sends a replication command and receives its answer. data gets the messages of a copy.
func exchange(ctx context.Context, conn *pgconn.PgConn, command string, data func([]byte) error) error {
	conn.Frontend().Send(&pgproto3.Query{String: command})
	if err := conn.Frontend().Flush(); err != nil {
		return err
	}
	var refusal error
	for {
		message, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return errors.Join(refusal, err)
		}
		switch m := message.(type) {
		case *pgproto3.ErrorResponse:
			refusal = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.CopyData:
			if err := data(m.Data); err != nil {
				return err
			}
		case *pgproto3.ReadyForQuery:
			return refusal
		}
	}
}

// baseBackup separates the messages of a base backup.
type baseBackup struct {
	files, manifest io.Writer
	inManifest      bool
}

// message receives one message: a type and its content.
func (b *baseBackup) message(m []byte) error {
	if len(m) == 0 {
		return errors.New("PostgreSQL sent an empty message")
	}
	switch m[0] {
	case 'n': // an archive begins; there is one, because the server has no other tablespaces
		b.inManifest = false
	case 'm': // the manifest begins
		b.inManifest = true
	case 'd':
		to := b.files
		if b.inManifest {
			to = b.manifest
		}
		_, err := to.Write(m[1:])
		return err
	}
	return nil // 'p' is the progress
}

// copyFiles copies the entries of PostgreSQL's archive into the folder of the cluster.
func copyFiles(archive *tar.Writer, received io.Reader) (files int, err error) {
	from := tar.NewReader(received)
	for {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, received) // until the exchange ends
			return files, err
		}
		if err != nil {
			return files, err
		}
		header.Name = clusterFolder + header.Name
		header.Format = tar.FormatPAX
		if err := archive.WriteHeader(header); err != nil {
			return files, err
		}
		if _, err := io.Copy(archive, from); err != nil { //nolint:gosec // it is copied, and not unpacked in memory
			return files, err
		}
		if header.Typeflag == tar.TypeReg {
			files++
		}
	}
}

func addFile(archive *tar.Writer, name string, content []byte) error {
	header := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Format: tar.FormatPAX}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}

// Restore creates the private server in the folder from a backup. It refuses a folder that has one
// already, and leaves nothing behind if the backup is incomplete. PostgreSQL replays the log at the next
// start. It does not start the server.
func Restore(o Options, from io.Reader) (b Backup, err error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return b, err
	}
	a, err := serverAccount(dir)
	if err != nil {
		return b, err
	}
	if err := a.makeDir(dir); err != nil {
		return b, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, unlock(lock)) }()
	for _, name := range []string{"cluster", passwordsFile} {
		if exists(filepath.Join(dir, name)) {
			return b, fmt.Errorf("%s has data already (%s): restore into another folder, with OMNI_DATA_DIR", dir, name)
		}
	}
	side, err := os.MkdirTemp(dir, "restore-")
	if err != nil {
		return b, err
	}
	defer os.RemoveAll(side)
	if b, err = a.unpack(side, from); err != nil {
		return b, fmt.Errorf("the backup cannot be restored: %w", err)
	}
	// The cluster is last: with it, the folder is complete.
	for _, name := range []string{passwordsFile, "cluster"} {
		if err := os.Rename(filepath.Join(side, name), filepath.Join(dir, name)); err != nil {
			return b, err
		}
	}
	return b, flush(dir)
}

// unpack unpacks the archive of a backup into a folder.
func (a account) unpack(dir string, from io.Reader) (b Backup, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return b, err
	}
	defer root.Close()
	if err := errors.Join(root.Mkdir("cluster", 0o700), a.own(filepath.Join(dir, "cluster"))); err != nil {
		return b, err
	}
	files, complete := 0, false
	archive := tar.NewReader(from)
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && complete && files == b.Files:
			_, err := io.Copy(io.Discard, from) // checks the checksums at the end
			return b, err
		case errors.Is(err, io.EOF):
			return b, errors.New("it is incomplete")
		case err != nil:
			return b, err
		case header.Name == describedFile:
			complete = true
			err = json.NewDecoder(archive).Decode(&b)
		case header.Typeflag == tar.TypeDir:
			if err = root.Mkdir(filepath.Clean(header.Name), 0o700); errors.Is(err, os.ErrExist) {
				err = nil
			}
			err = errors.Join(err, a.own(filepath.Join(dir, filepath.Clean(header.Name))))
		case header.Typeflag == tar.TypeReg:
			if header.Name != passwordsFile {
				files++
			}
			err = a.unpackFile(root, header.Name, archive)
		default:
			err = fmt.Errorf("%s is neither a file nor a folder", header.Name)
		}
		if err != nil {
			return b, err
		}
	}
}

func (a account) unpackFile(root *os.Root, name string, content io.Reader) error {
	f, err := root.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, content); err != nil {
		return errors.Join(err, f.Close())
	}
	if name != passwordsFile && a.other {
		err = f.Chown(a.uid, a.gid)
	}
	return errors.Join(err, f.Sync(), f.Close())
}
