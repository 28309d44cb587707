package app

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/config"
	"omnirapeutic/modules/audit"
	"omnirapeutic/platform/db"
)

// AuditArchive is the file of an archive of audit trails.
type AuditArchive struct {
	Path       string
	Identities string // the file with private keys of age; "" for an archive that is not encrypted
}

// open returns the content.
func (a AuditArchive) open() (io.ReadCloser, error) {
	file, err := os.Open(a.Path)
	if err != nil {
		return nil, err
	}
	content, err := decrypted(bufio.NewReader(file), a.Identities)
	if err == nil {
		content, err = gzip.NewReader(content)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", a.Path, err), file.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{content, file}, nil
}

// Verify verifies the archive without a database. The error is [audit.ErrArchive] if it was changed.
func (a AuditArchive) Verify() (audit.Manifest, error) {
	content, err := a.open()
	if err != nil {
		return audit.Manifest{}, err
	}
	m, err := audit.VerifyArchive(content)
	return m, errors.Join(err, content.Close())
}

// WriteAuditArchive writes the audit events of a period into a new file, encrypted for the recipients if there are
// any. The file is complete once it has its name.
func WriteAuditArchive(
	ctx context.Context, s *Storage, c config.Config, period audit.ArchivePeriod, path string, keys []string,
	logger logrus.FieldLogger,
) (m audit.Manifest, err error) {
	recipients, err := recipientsOf(keys)
	if err != nil {
		return m, err
	}
	if _, err := os.Stat(path); err == nil {
		return m, fmt.Errorf("%s exists already", path)
	}
	partial, err := os.OpenFile(path+".partial", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return m, err
	}
	defer func() { _ = os.Remove(partial.Name()) }() // remains only after a failure
	err = asAuditOwner(ctx, s, c, logger, func(trails *audit.Service) error {
		return writeSealed(partial, recipients, gzip.DefaultCompression, func(to io.Writer) error {
			m, err = trails.Archive(ctx, period, to)
			return err
		})
	})
	if err := errors.Join(err, partial.Sync(), partial.Close()); err != nil {
		return m, err
	}
	return m, os.Rename(partial.Name(), path)
}

// RestoreAuditArchive makes the events of an archive searchable again; see [audit.Service.Restore].
func RestoreAuditArchive(
	ctx context.Context, s *Storage, c config.Config, a AuditArchive, logger logrus.FieldLogger,
) (m audit.Manifest, err error) {
	return m, asAuditOwner(ctx, s, c, logger, func(trails *audit.Service) error {
		m, err = trails.Restore(ctx, a.open)
		return err
	})
}

// AuditRemoval is an operator's request to remove months of the audit trails.
type AuditRemoval struct {
	Before  time.Time
	By      string
	Archive *AuditArchive // must have the removed events; nil: none is required
}

// RemoveAudit removes the oldest months of all audit trails, as the owner of the tables. Organizations that the
// configuration names keep their events. Errors: as for [audit.Service.Remove], *[db.SchemaError],
// *[db.UnavailableError].
func RemoveAudit(
	ctx context.Context, s *Storage, c config.Config, removal AuditRemoval, logger logrus.FieldLogger,
) (removed []audit.Checkpoint, err error) {
	r := audit.Removal{Before: removal.Before, By: removal.By, Kept: map[uuid.UUID]time.Time{}}
	for organization, years := range c.AuditRemoval.Kept {
		r.Kept[organization] = time.Time{}
		if years > 0 {
			r.Kept[organization] = time.Now().AddDate(-years, 0, 0)
		}
	}
	if removal.Archive != nil {
		r.Archive = removal.Archive.open
	}
	return removed, asAuditOwner(ctx, s, c, logger, func(trails *audit.Service) error {
		removed, err = trails.Remove(ctx, r)
		return err
	})
}

// asAuditOwner calls the function with the audit trails, as the owner of the tables.
func asAuditOwner(
	ctx context.Context, s *Storage, c config.Config, logger logrus.FieldLogger, fn func(*audit.Service) error,
) error {
	owner, err := db.Open(ctx, db.Config{
		URL: s.OwnerURL, Profile: s.profile, MaxConns: 2, ExecMode: c.Database.ExecMode, Logger: logger,
	})
	if err != nil {
		return err
	}
	defer owner.Close()
	if err := owner.CheckSchema(ctx); err != nil {
		return err
	}
	return fn(audit.New(audit.Dependencies{Database: owner, Clock: time.Now, Logger: logger}))
}
