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
	Remove auditRemove `cmd:"" help:"Remove the oldest events of every audit trail, leaving a checkpoint."`
}

type auditRemove struct {
	Before calendar.Date `help:"Remove months that ended before this day (UTC); default: by the setting." placeholder:"2020-01-01"`
	By     string        `required:"" help:"Your name and the reason, for the checkpoint." placeholder:"TEXT"`
	Young  bool          `help:"Also remove events less than six years old."`
}

// Help explains the command.
func (auditRemove) Help() string {
	return `Verifies each trail first, and removes nothing if one is invalid. Each chain continues from a checkpoint, which
records its position and hash, the number of removed events, who removed them and when. The partitions of whole
months are dropped, while the program serves. Connects with OMNI_MIGRATE_URL, as the tables' owner. HIPAA requires
documentation to be kept for six years (45 CFR 164.316(b)(2)(i)), so newer events are removed only with --young.
By default nothing is ever removed: set OMNI_AUDIT_REMOVAL_YEARS or name a day. Organizations of OMNI_AUDIT_KEPT
keep their events, and the months in which they have some.`
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
		removed, err := app.RemoveAudit(e.context, s, c, before, r.By, e.logger(c))
		for _, item := range removed {
			fmt.Printf("%s: %d events up to position %d, whose hash is %s\n", item.OrganizationID, item.Removed, item.Position,
				item.Hash)
		}
		if errors.Is(err, audit.ErrDamaged) {
			return exitError{err, ExitUnclean}
		}
		if err == nil && len(removed) == 0 {
			fmt.Println("There is no month that old in which all trails may be removed.")
		}
		return err
	})
}
