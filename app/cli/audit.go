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
	Before calendar.Date `required:"" help:"Remove events before this day (UTC)." placeholder:"2020-01-01"`
	By     string        `required:"" help:"Your name and the reason, for the checkpoint." placeholder:"TEXT"`
	Young  bool          `help:"Also remove events less than six years old."`
}

// Help explains the command.
func (auditRemove) Help() string {
	return `Verifies each trail first, and removes nothing from an invalid one. The chain continues from the
checkpoint, which records its position and hash, the number of removed events, who removed them and when.
Connects with OMNI_MIGRATE_URL, as the tables' owner. HIPAA requires documentation to be kept for six years
(45 CFR 164.316(b)(2)(i)), so newer events are removed only with --young. By default nothing is ever removed.`
}

// retained is the minimum age of removable events, in years, without the option to
// remove newer ones.
const retained = 6

// Run removes old events.
func (r auditRemove) Run(e environment) error {
	before := r.Before.Time()
	if !r.Young && before.After(time.Now().AddDate(-retained, 0, 0)) {
		return exitError{
			errors.New("this would also remove events of the last six years: choose an earlier day, or add --young"),
			ExitUsage,
		}
	}
	c, err := e.settings()
	if err != nil {
		return err
	}
	return e.withStorage(func(s *app.Storage) error {
		removed, err := app.RemoveAudit(e.context, s, c, audit.Removal{Before: before, By: r.By}, e.logger(c))
		for _, item := range removed {
			fmt.Printf("%s: %d events up to position %d, whose hash is %s\n", item.OrganizationID, item.Removed, item.Position,
				item.Hash)
		}
		if errors.Is(err, audit.ErrDamaged) {
			return exitError{err, ExitUnclean}
		}
		if err == nil && len(removed) == 0 {
			fmt.Println("There are no events that old.")
		}
		return err
	})
}
