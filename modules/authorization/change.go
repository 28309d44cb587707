package authorization

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/operation"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

// Change is a change of an authorization's terms. Fields that are not given stay unchanged.
type Change struct {
	Match       patch.Match // the versions that the change applies to
	InsuranceID patch.Clearable[uuid.UUID]
	AuthNumber  patch.Clearable[string]
	TotalUnits  patch.Field[int] // needs [permission.AuthorizationAdjust]; becomes a ledger entry
	StartDate   patch.Field[calendar.Date]
	EndDate     patch.Field[calendar.Date]
	Status      patch.Field[Status]
	Caps        patch.Clearable[[]Cap] // replaces all caps
	Notes       patch.Clearable[string]
	Reason      *string // stored in the audit event, the ledger's entries and cancellations

	Stranded Policy     // how to handle appointments that the change would strand; empty: see [Policy]
	MoveTo   *uuid.UUID // the target of [MoveStranded]
}

// Change changes an authorization in one transaction. Errors: [ErrNotFound], [patch.ErrStale],
// [ErrTotalBelowBooked], [ErrTransition], [ErrReservationsOutsideDates], [ErrBookingsStranded],
// [fault.ErrInvalid], [identity.ErrForbidden], and those of [Calendar] if appointments are
// cancelled or moved.
func (s *Service) Change(ctx context.Context, id uuid.UUID, c Change) (View, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return View{}, err
	}
	if c.TotalUnits.Given {
		if err := caller.RequireWhole(permission.AuthorizationAdjust); err != nil {
			return View{}, err
		}
	}
	if err := c.check(); err != nil {
		return View{}, err
	}
	op := Operation{
		ID: s.newID(), Kind: Adjust, AuthorizationID: id, Total: c.TotalUnits.Value, Reason: c.Reason,
		ActorID: caller.UserID, RequestID: caller.RequestID, Address: caller.Address, GrantID: caller.GrantID,
	}
	if c.onlyTotal() {
		op.Match = c.Match
		return s.adjustTotal(ctx, caller.OrganizationID, op)
	}
	var v View
	err = s.runExclusive(ctx, caller.OrganizationID, c.lanes(caller.OrganizationID, id), func(ctx context.Context, lane ...db.Option) error {
		v, err = s.change(ctx, caller.OrganizationID, id, c, op, lane)
		return err
	})
	return v, err
}

// onlyTotal reports whether the change affects only the total. It can then run combined with other
// operations, without exclusive access to the terms.
func (c Change) onlyTotal() bool {
	return c.TotalUnits.Given && !c.givesTerms() && c.Stranded == ""
}

// lanes returns the authorizations to lock, the changed one first. If appointments may change too,
// it includes the organization's own lock.
func (c Change) lanes(organization, id uuid.UUID) []uuid.UUID {
	all := []uuid.UUID{id}
	if c.Stranded != "" || c.Status.Given && c.Status.Value == Cancelled || c.StartDate.Given || c.EndDate.Given {
		all = append(all, organization)
	}
	if c.MoveTo != nil && *c.MoveTo != id {
		all = append(all, *c.MoveTo)
	}
	return all
}

func (s *Service) adjustTotal(ctx context.Context, organization uuid.UUID, op Operation) (View, error) {
	outcomes, err := s.run(ctx, "units.adjust", batch{organization: organization, ops: []Operation{op}})
	if err != nil {
		return View{}, err
	}
	if outcomes[0].Refusal != nil {
		return View{}, outcomes[0].Refusal
	}
	return outcomes[0].view(), nil
}

func (s *Service) change(ctx context.Context, organization, id uuid.UUID, c Change, op Operation, lane []db.Option) (View, error) {
	b := batch{organization: organization, ops: []Operation{op}}
	var rows []operation.Done
	return db.Serializable(ctx, s.database, "authorization.change", func(ctx context.Context) (View, error) {
		at, err := s.moment(ctx, organization)
		if err != nil {
			return View{}, err
		}
		before, err := s.store.get(ctx, id)
		if err != nil {
			return View{}, err
		}
		if db.InDoubt(ctx) {
			done, err := operations.Find(ctx, b.operationKey(op))
			if err == nil && len(done) > 0 {
				err = s.store.freeExpired(ctx, []*Authorization{&before}, at.Now)
			}
			if err != nil || len(done) > 0 {
				return before.viewOn(at.Today), err
			}
		}
		if err := c.Match.Check(before.Version); err != nil {
			return View{}, err
		}
		if before, err = s.settleStranded(ctx, before, c, at); err != nil {
			return View{}, err
		}
		after, err := s.changeTerms(ctx, before, c, at)
		if err != nil {
			return View{}, err
		}
		if after.Version > before.Version {
			if err := s.recordTerms(ctx, "change", &before, &after, c.Reason, at.Now); err != nil {
				return View{}, err
			}
		}
		if c.TotalUnits.Given {
			if after, err = s.adjust(ctx, b, at); err != nil {
				return View{}, err
			}
		}
		row, err := b.done(op, Outcome{Authorization: after}, at.Now)
		if err != nil {
			return View{}, err
		}
		rows = []operation.Done{row}
		if err := operations.Write(ctx, rows); err != nil {
			return View{}, err
		}
		err = s.store.freeExpired(ctx, []*Authorization{&after}, at.Now)
		return after.viewOn(at.Today), err
	}, append(lane, operations.Once(&rows)...)...)
}

// adjust decides and writes a change of the total that comes with new terms, on the authorization
// with the new terms.
func (s *Service) adjust(ctx context.Context, b batch, at Moment) (Authorization, error) {
	d, err := s.open(ctx, []batch{b}, &reading{})
	if err != nil {
		return Authorization{}, err
	}
	outcomes, err := d.decide(b, at)
	if err != nil {
		return Authorization{}, err
	}
	if outcomes[0].Refusal != nil {
		return Authorization{}, outcomes[0].Refusal
	}
	d.rows = nil // the change as a whole is stored for replay
	return outcomes[0].Authorization, s.write(ctx, d)
}

// check returns the errors that do not depend on stored state.
func (c Change) check() error {
	_, fieldErrors := c.caps()
	if c.TotalUnits.Given && (c.TotalUnits.Value < 0 || c.TotalUnits.Value > MaxUnits) {
		fieldErrors = append(fieldErrors, fieldUnits("totalUnits", 0))
	}
	if (c.Stranded == MoveStranded) != (c.MoveTo != nil) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "moveToAuthorizationId", Code: "required_if", Message: "must be given if, and only if, strandedBookings is MOVE",
		})
	}
	if c.Reason != nil && !c.TotalUnits.Given && !c.givesTerms() && c.Stranded == "" {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "reason", Code: "required_with",
			Message: "requires a change, because it is stored with the changed records",
		})
	}
	if len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	return nil
}

// givesTerms reports whether the change includes fields that are not in the ledger.
func (c Change) givesTerms() bool {
	return c.InsuranceID.Given || c.AuthNumber.Given || c.StartDate.Given || c.EndDate.Given || c.Status.Given || c.Caps.Given || c.Notes.Given
}

// caps returns the new caps, and their field errors.
func (c Change) caps() (Caps, []fault.Field) {
	if c.Caps.Value == nil {
		return Caps{}, nil
	}
	return capsOf(*c.Caps.Value)
}

// changeTerms applies and writes the fields that are not in the ledger.
func (s *Service) changeTerms(ctx context.Context, before Authorization, c Change, at Moment) (Authorization, error) {
	after := before
	c.InsuranceID.Apply(&after.InsuranceID)
	c.AuthNumber.Apply(&after.AuthNumber)
	c.StartDate.Apply(&after.StartDate)
	c.EndDate.Apply(&after.EndDate)
	c.Status.Apply(&after.Decision)
	c.Notes.Apply(&after.Notes)
	if c.Caps.Given {
		after.Caps, _ = c.caps() // its field errors were reported before
	}

	if after.EndDate.Before(after.StartDate) {
		return after, fault.InvalidFields(fieldDatesOrder)
	}
	if allowed := decisions[before.Decision]; !slices.Contains(allowed, after.Decision) {
		return after, ErrTransition.With(Transition{before.Decision, after.Decision, allowed},
			"The authorization is %s and cannot become %s.", before.Decision, after.Decision)
	}
	if c.InsuranceID.Given {
		if err := s.directory.CheckReferences(ctx, after.PatientID, after.ServiceCodeID, after.InsuranceID); err != nil {
			return after, err
		}
	}
	if after.StartDate.After(before.StartDate) || after.EndDate.Before(before.EndDate) {
		stranded, err := s.store.stranded(ctx, before.ID, after.StartDate, after.EndDate, at.Now)
		if err != nil {
			return after, err
		}
		if stranded.Reservations > 0 {
			return after, ErrReservationsOutsideDates.With(stranded,
				"%d open reservations with %d units, from %s to %s, would fall outside the new dates. Settle them first.",
				stranded.Reservations, stranded.Units, stranded.FirstDate, stranded.LastDate)
		}
	}
	if after.sameTerms(before) {
		return before, nil
	}
	if after.Caps.byDate() != before.Caps.byDate() {
		after.Booked = nil
		if after.Caps.byDate() {
			booked, err := s.store.booked(ctx, before.ID)
			if err != nil {
				return after, err
			}
			after.Booked = booked
		}
	}
	after.Version++
	after.UpdatedAt = at.Now
	return after, s.store.saveTerms(ctx, after)
}

func (a Authorization) sameTerms(b Authorization) bool {
	return equal(a.InsuranceID, b.InsuranceID) && equal(a.AuthNumber, b.AuthNumber) && equal(a.Notes, b.Notes) &&
		a.Caps.equal(b.Caps) && a.StartDate == b.StartDate && a.EndDate == b.EndDate && a.Decision == b.Decision
}

func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// Delete deletes an authorization without reservations or entries. Errors: [ErrNotFound],
// [patch.ErrStale], [ErrHasHistory].
func (s *Service) Delete(ctx context.Context, id uuid.UUID, match patch.Match) error {
	_, err := db.Serializable(ctx, s.database, "authorization.delete", func(ctx context.Context) (struct{}, error) {
		a, err := s.store.get(ctx, id)
		if errors.Is(err, ErrNotFound) && db.InDoubt(ctx) {
			return struct{}{}, nil // an earlier attempt has deleted it
		}
		if err != nil {
			return struct{}{}, err
		}
		if err := match.Check(a.Version); err != nil {
			return struct{}{}, err
		}
		if a.LastSequence > 0 { // every reservation has an entry
			return struct{}{}, ErrHasHistory
		}
		if err := s.store.delete(ctx, id); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordTerms(ctx, "delete", &a, nil, nil, s.now())
	}, db.ProvenBy(func(ctx context.Context) (bool, error) {
		exists, err := s.store.exists(ctx, id)
		return !exists, err
	}))
	return err
}
