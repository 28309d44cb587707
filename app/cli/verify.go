package cli

import (
	"encoding/json"
	"fmt"
	"os"

	"omnirapeutic/app"
	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/verification"
)

type verifyCommand struct {
	JSON        bool `help:"Print the report as JSON."`
	Incremental bool `help:"Check only changes since the last verification without a problem."`
}

// Help explains the command.
func (verifyCommand) Help() string {
	return `Replays the ledger of every authorization of every organization: sequence numbers, hash chain,
counters, reservations, overdue holds. Also verifies every audit trail. Exit code 0: no problems;
3: the report lists problems. --incremental checks authorizations with new ledger entries and new
events of the audit trails. It does not find older data that were changed in the database.`
}

// Run verifies the ledger and the audit trail.
func (v verifyCommand) Run(e environment) error {
	return e.withProgram(func(p *app.Program) error {
		mode := verification.Full
		if v.Incremental {
			mode = verification.Incremental
		}
		report, err := p.VerifyAll(e.context, mode)
		if err != nil {
			return err
		}
		if v.JSON {
			encoder := json.NewEncoder(os.Stdout)
			encoder.SetIndent("", "  ")
			if err := encoder.Encode(report); err != nil {
				return err
			}
		} else {
			fmt.Printf("Checked %d authorizations, %d reservations, %d entries, %d events of the audit trail.\n",
				report.Authorizations, report.Reservations, report.Entries, report.Audit.Events)
			for _, problem := range report.Problems {
				fmt.Println(problem)
			}
			for _, problem := range report.Audit.Problems {
				fmt.Println(audit.Finding(problem))
			}
		}
		if !report.OK {
			return exitError{
				fmt.Errorf("%d problems in the unit ledger, %d in the audit trail", report.ProblemCount, report.Audit.ProblemCount),
				ExitUnclean,
			}
		}
		return nil
	})
}
