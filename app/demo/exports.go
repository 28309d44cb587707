package demo

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/billing"
	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// exports bills the first week: claim lines are then in every state. The first payer has the claims.
// One of them must be replaced, and another one waits for the payer's control number. The file for the
// second payer was rejected.
func (p Practice) exports(own context.Context) error {
	biller, err := p.as(own, rbac.Biller)
	if err != nil {
		return err
	}
	found, err := p.Directory.Payers(own, directory.Page{Limit: len(payers)})
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(practiceZone)
	if err != nil {
		return err
	}
	from := firstMonday(calendar.DateIn(p.Now, zone))
	to := from.AddDays(6)
	const daysLater, paidAfter = 3, 10
	then := p.Billing(to.AddDays(daysLater).Time().Add(15 * time.Hour))
	accepted, err := then.Export(biller, billing.NewExport{PayerID: found[0].ID, From: from, To: to})
	if err != nil {
		return err
	}
	rejected, err := then.Export(biller, billing.NewExport{PayerID: found[1].ID, From: from, To: to})
	if err != nil {
		return err
	}
	later := p.Billing(to.AddDays(paidAfter).Time().Add(15 * time.Hour))
	if _, err := later.Retract(biller, rejected.ID, "The clearinghouse rejected the file."); err != nil {
		return err
	}
	claims, err := later.Claims(biller, accepted.ID)
	if err != nil {
		return err
	}
	if _, err := later.SetControlNumber(biller, claims[0].ID, "2026101500001"); err != nil {
		return err
	}
	return p.correctBilled(biller, claims)
}

// correctBilled shortens a session of the first claim, and voids one of the last claim.
func (p Practice) correctBilled(biller context.Context, claims []billing.Claim) error {
	service := p.Appointments(p.Now)
	shortened, err := service.Session(biller, claims[0].Lines[0].SessionID)
	if err != nil {
		return err
	}
	early := appointments.Correction{End: new(shortened.End.Add(-15 * time.Minute)), Confirm: true}
	if _, err := service.Correct(biller, shortened.ID, early, "The family's log shows an earlier end.", ""); err != nil {
		return err
	}
	mistaken := claims[len(claims)-1].Lines[0].SessionID
	_, err = service.Void(biller, mistaken, appointments.Correction{}, appointments.Cancelled,
		"The family was on vacation.", "")
	return err
}

// findExports finds the export that the first payer has, one of its claims, and the payer of the
// rejected file, whose lines are ready again.
func (f *finder) findExports() error {
	found, err := f.Billing(f.Now).Exports(f.ctx, uuid.Nil, db.Keyset{Limit: 50})
	if err != nil {
		return err
	}
	for _, e := range found {
		if e.RetractedAt != nil {
			f.body("createBillingExport", map[string]any{"payerId": e.PayerID, "from": e.From.String(), "to": e.To.String()})
			continue
		}
		f.id("/billing/exports", "", e.ID)
		claims, err := f.Billing(f.Now).Claims(f.ctx, e.ID)
		if err != nil {
			return err
		}
		f.id("/billing/claims", "", claims[0].ID)
	}
	return nil
}
