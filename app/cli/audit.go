package cli

import (
	"errors"
	"fmt"
	"time"

	"omnirapeutic/app"
	"omnirapeutic/modules/audit"
	"omnirapeutic/platform/calendar"
)

type auditCommand struct {
	Archive       auditArchive       `cmd:"" help:"Write the events of a period to a compressed file."`
	VerifyArchive auditVerifyArchive `cmd:"" help:"Verify an archive, without a database."`
	Remove        auditRemove        `cmd:"" help:"Remove the oldest months of all audit trails, leaving checkpoints."`
	Restore       auditRestore       `cmd:"" help:"Make the events of an archive searchable again."`
}

type auditRemove struct {
	Before calendar.Date `help:"Remove months that ended before this day (UTC); default: by the setting." placeholder:"2020-01-01"`
	By     string        `required:"" help:"Your name and the reason, for the checkpoint." placeholder:"TEXT"`
	Young  bool          `help:"Also remove events less than six years old."`

	Archive  string `help:"Remove only events that this archive has." placeholder:"FILE" type:"existingfile"`
	Identity string `help:"The file with the private key of age, for an encrypted archive." placeholder:"FILE" type:"existingfile"`
}

// Help explains the command.
func (auditRemove) Help() string {
	return `Verifies each trail first, and removes nothing if one is invalid. Each chain continues from a checkpoint, which
records its position and hash, the number of removed events, who removed them and when. The partitions of whole
months are dropped, while the program serves. Connects with OMNI_MIGRATE_URL, as the tables' owner. HIPAA requires
documentation to be kept for six years (45 CFR 164.316(b)(2)(i)), so newer events are removed only with --young.
By default nothing is ever removed: set OMNI_AUDIT_REMOVAL_YEARS or name a day. Organizations of OMNI_AUDIT_KEPT
keep their events, and the months in which they have some. With --archive the command verifies an archive first,
and removes nothing unless it has all events that would go.`
}

// retained is the minimum age of removable events, in years, without the option to
// remove newer ones.
const retained = 6

// Run removes old events.
func (r auditRemove) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	before := r.Before.Time()
	if r.Before.IsZero() {
		if c.AuditRemoval.Years == 0 {
			return exitError{errors.New("name a day with --before, or set OMNI_AUDIT_REMOVAL_YEARS"), ExitUsage}
		}
		before = time.Now().AddDate(-c.AuditRemoval.Years, 0, 0)
	}
	if !r.Young && before.After(time.Now().AddDate(-retained, 0, 0)) {
		return exitError{
			errors.New("this would also remove events of the last six years: choose an earlier day, or add --young"),
			ExitUsage,
		}
	}
	return e.withStorage(func(s *app.Storage) error {
		removal := app.AuditRemoval{Before: before, By: r.By}
		if r.Archive != "" {
			removal.Archive = &app.AuditArchive{Path: r.Archive, Identities: r.Identity}
		}
		removed, err := app.RemoveAudit(e.context, s, c, removal, e.logger(c))
		for _, item := range removed {
			fmt.Printf("%s: %d events up to position %d, whose hash is %s\n", item.OrganizationID, item.Removed, item.Position,
				item.Hash)
		}
		if err != nil {
			return archiveFailure(err)
		}
		if len(removed) == 0 {
			fmt.Println("There is no month that old in which all trails may be removed.")
		}
		return nil
	})
}

type auditArchive struct {
	To        string        `required:"" help:"The new file." placeholder:"FILE" type:"path"`
	Before    calendar.Date `required:"" help:"Archive events before this day (UTC)." placeholder:"2020-01-01"`
	From      calendar.Date `help:"Begin with the events of this day (UTC); default: the oldest." placeholder:"2019-01-01"`
	Recipient []string      `help:"Encrypt for this public key of age; may be repeated." placeholder:"age1…"`
}

// Help explains the command.
func (auditArchive) Help() string {
	return `Writes the sealed events of all trails up to the day, and their lists, into one file: lines of JSON,
compressed with gzip, with a manifest at the end. The chains are verified meanwhile. The program may serve. The
events have health data: name a public key of age with --recipient, or protect the file like the database.`
}

// Run writes the archive.
func (a auditArchive) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	period := audit.ArchivePeriod{Before: a.Before.Time()}
	if !a.From.IsZero() {
		period.From = a.From.Time()
	}
	return e.withStorage(func(s *app.Storage) error {
		m, err := app.WriteAuditArchive(e.context, s, c, period, a.To, a.Recipient, e.logger(c))
		if err != nil {
			return archiveFailure(err)
		}
		fmt.Printf("Wrote %s.\n", a.To)
		printManifest(m)
		return nil
	})
}

// archiveFile names an existing archive.
type archiveFile struct {
	File     string `arg:"" help:"The archive." type:"existingfile"`
	Identity string `help:"The file with the private key of age, for an encrypted archive." placeholder:"FILE" type:"existingfile"`
}

func (f archiveFile) archive() app.AuditArchive {
	return app.AuditArchive{Path: f.File, Identities: f.Identity}
}

type auditVerifyArchive struct{ archiveFile }

// Help explains the command.
func (auditVerifyArchive) Help() string {
	return `Recomputes the hash chain of each trail in the archive, and the hashes of the lists and of the whole. Compare
the printed hashes with anchored heads, or with the output of the command that wrote the archive. Exit code 3: the
archive was changed.`
}

// Run verifies the archive.
func (v auditVerifyArchive) Run(environment) error {
	m, err := v.archive().Verify()
	if err != nil {
		return archiveFailure(err)
	}
	printManifest(m)
	return nil
}

type auditRestore struct{ archiveFile }

// Help explains the command.
func (auditRestore) Help() string {
	return `Verifies the archive, compares it with the checkpoints of the removals, and copies its events into a table that
the search of the audit trail also reads. The trails and their verification stay as they are. Connects with
OMNI_MIGRATE_URL, as the tables' owner. Exit code 3: the archive was changed.`
}

// Run restores the events.
func (r auditRestore) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	return e.withStorage(func(s *app.Storage) error {
		archive := r.archive()
		m, err := app.RestoreAuditArchive(e.context, s, c, archive, e.logger(c))
		if err != nil {
			return archiveFailure(err)
		}
		fmt.Println("The search finds these events again.")
		printManifest(m)
		return nil
	})
}

// archiveFailure adds the exit code of data that was changed.
func archiveFailure(err error) error {
	if errors.Is(err, audit.ErrDamaged) || errors.Is(err, audit.ErrArchive) {
		return exitError{err, ExitUnclean}
	}
	return err
}

// printManifest prints the content of an archive.
func printManifest(m audit.Manifest) {
	fmt.Printf("%d events, SHA-256 %s\n", m.Events, m.SHA256)
	for _, t := range m.Trails {
		fmt.Printf("%s: positions %d to %d, whose hash is %s\n", t.OrganizationID, t.First, t.Last, t.Hash)
	}
}
