package cli

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"omnirapeutic/app"
	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/audit/anchor"
	"omnirapeutic/modules/verification"
)

type verifyCommand struct {
	JSON        bool `help:"Print the report as JSON."`
	Incremental bool `help:"Check only changes since the last verification without a problem."`

	Heads       string `help:"Compare the anchored heads in this file with the audit trails." placeholder:"FILE" type:"existingfile"`
	Authorities string `help:"Root certificates (PEM) that time stamps must have." placeholder:"FILE" type:"existingfile"`
}

// Help explains the command.
func (verifyCommand) Help() string {
	return `Replays the ledger of every authorization of every organization: sequence numbers, hash chain,
counters, reservations, overdue holds. Also verifies every audit trail. Exit code 0: no problems;
3: the report lists problems. --incremental checks authorizations with new ledger entries and new
events of the audit trails. It does not find older data that were changed in the database.
--heads compares heads of audit trails that were kept outside of the database (OMNI_ANCHORS). It finds
trails that were rewritten together with their hashes.`
}

// Run verifies the ledger and the audit trail.
func (v verifyCommand) Run(e environment) error {
	if v.Heads != "" {
		return v.compareAnchors(e)
	}
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

// compareAnchors compares the anchored heads in the file with the trails.
func (v verifyCommand) compareAnchors(e environment) error {
	anchors, err := v.readAnchors()
	if err != nil {
		return exitError{fmt.Errorf("%s: %w", v.Heads, err), ExitUnclean}
	}
	return e.withProgram(func(p *app.Program) error {
		found, err := p.CompareAnchors(e.context, anchors.Heads)
		if err != nil {
			return err
		}
		fmt.Printf("Compared %d anchored heads, with %d valid time stamps.\n", found.Events, len(anchors.Stamps))
		if len(anchors.Stamps) > 0 {
			fmt.Printf("The last time stamp is of %s.\n", anchors.Stamps[len(anchors.Stamps)-1].Time.UTC().Format(time.RFC1123))
		}
		if found.Removed > 0 {
			fmt.Printf("%d heads were not compared, because the events up to them were removed. Compare the checkpoints "+
				"with the output of each omnirapeutic audit remove.\n", found.Removed)
		}
		for _, problem := range found.Problems {
			fmt.Println(problem)
		}
		if !found.OK {
			return exitError{fmt.Errorf("%d anchored heads differ from the audit trails", found.ProblemCount), ExitUnclean}
		}
		return nil
	})
}

// readAnchors reads the file of anchored heads, and checks its time stamps.
func (v verifyCommand) readAnchors() (anchor.Anchors, error) {
	file, err := os.Open(v.Heads)
	if err != nil {
		return anchor.Anchors{}, err
	}
	defer file.Close()
	anchors, err := anchor.Read(file)
	if err != nil || v.Authorities == "" {
		return anchors, err
	}
	certificates, err := os.ReadFile(v.Authorities)
	if err != nil {
		return anchors, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificates) {
		return anchors, fmt.Errorf("%s has no certificate", v.Authorities)
	}
	for _, s := range anchors.Stamps {
		if err := s.Trust(roots); err != nil {
			return anchors, fmt.Errorf("time stamp of %s: %w", s.Time.UTC().Format(time.RFC1123), err)
		}
	}
	return anchors, nil
}
