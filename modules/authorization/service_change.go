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
	"omnirapeutic/platform/patch"
)

// Change changes an authorization in its own transaction. A change of only the total shares a
// transaction with other commands. Errors: [ErrNotFound], [patch.ErrStale], [ErrTotalBelowBooked],
// [ErrTransition], [ErrReservationsOutsideDates], [fault.ErrInvalid], [identity.ErrForbidden].
func (s *TermsService) Change(ctx context.Context, id uuid.UUID, c Change) (View, error) {
	p, err := s.PrepareChange(ctx, id, c)
	if err != nil {
		return View{}, err
	}
	if c.TotalUnits.Given && !c.givesTerms() {
		p.command.ops[0].Match = c.Match
		return s.adjustTotal(ctx, p.command)
	}
	return p.Run(ctx, func(ctx context.Context, _ View) (View, error) { return p.Apply(ctx) })
}

// PreparedChange is a checked change of an authorization, before its transaction. Another module
// can change its own records in the same transaction.
type PreparedChange struct {
	service *TermsService
	change  Change
	command unitCommand // its only operation is the change of the total
}

// PrepareChange checks the caller's permissions and everything else that does not depend on stored
// state. Errors: [fault.ErrInvalid], [identity.ErrForbidden].
func (s *TermsService) PrepareChange(ctx context.Context, id uuid.UUID, c Change) (*PreparedChange, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.RequirePermission(caller); err != nil {
		return nil, err
	}
	if fieldErrors := c.FieldErrors(); len(fieldErrors) > 0 {
		return nil, fault.InvalidFields(fieldErrors...)
	}
	u := s.newCommand(caller, string(Adjust), "", Operation{
		Kind: Adjust, AuthorizationID: id, Total: c.TotalUnits.Value, Reason: c.Reason,
	})
	return &PreparedChange{service: s, change: c, command: u}, nil
}

// Run runs fn in one SERIALIZABLE transaction, while no command runs. fn gets the authorization
// before the change, and returns the result of [PreparedChange.Apply]. Errors: [ErrNotFound],
// [patch.ErrStale], and the errors of fn.
func (p *PreparedChange) Run(ctx context.Context, fn func(ctx context.Context, before View) (View, error)) (View, error) {
	var v View
	s := p.service
	err := s.Engine.Exclusive(ctx, "authorization.change", p.command.Call, func(ctx context.Context, done bool) (err error) {
		if v, err = s.current(ctx, p.command.Subject); err != nil || done {
			return err
		}
		if err := p.change.Match.Check(v.Version); err != nil {
			return err
		}
		v, err = fn(ctx, v)
		return err
	})
	if err != nil {
		return View{}, err
	}
	return v, nil
}

// current returns an authorization in the transaction of the context.
func (s *TermsService) current(ctx context.Context, id uuid.UUID) (View, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return View{}, err
	}
	at, err := s.moment(ctx, caller.OrganizationID)
	if err != nil {
		return View{}, err
	}
	a, err := s.store.current(ctx, id, at.Now)
	return a.viewOn(at.Today), err
}

// Apply applies the change in the transaction of [PreparedChange.Run]. Errors:
// [ErrTotalBelowBooked], [ErrTransition], [ErrReservationsOutsideDates], [fault.ErrInvalid].
func (p *PreparedChange) Apply(ctx context.Context) (View, error) {
	s, c := p.service, p.change
	at, err := s.moment(ctx, p.command.OrganizationID)
	if err != nil {
		return View{}, err
	}
	before, err := s.store.get(ctx, p.command.Subject)
	if err != nil {
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
		if after, err = s.adjust(ctx, p.command); err != nil {
			return View{}, err
		}
	}
	err = s.store.freeExpired(ctx, []*Authorization{&after}, at.Now)
	return after.viewOn(at.Today), err
}

func (s *TermsService) adjustTotal(ctx context.Context, u unitCommand) (View, error) {
	outcomes, err := s.run(ctx, u)
	if err != nil {
		return View{}, err
	}
	if outcomes[0].Refusal != nil {
		return View{}, outcomes[0].Refusal
	}
	return outcomes[0].view(), nil
}

// adjust decides and writes a change of the total that comes with new terms, on the authorization
// with the new terms.
func (s *TermsService) adjust(ctx context.Context, u unitCommand) (Authorization, error) {
	var err error
	if u.zone, err = s.Directory.TimeZone(ctx, u.OrganizationID); err != nil {
		return Authorization{}, err
	}
	state, err := s.load(ctx, nil, []unitCommand{u})
	if err != nil {
		return Authorization{}, err
	}
	outcomes, _, err := state.decide(u)
	if err != nil {
		return Authorization{}, err
	}
	if outcomes[0].Refusal != nil {
		return Authorization{}, outcomes[0].Refusal
	}
	return outcomes[0].Authorization, db.Pipeline(ctx, func(ctx context.Context) error { return s.save(ctx, state) })
}

// ReservationsOutside returns the open reservations whose service dates are not between the dates.
// It runs in the transaction of the context.
func (s *TermsService) ReservationsOutside(ctx context.Context, id uuid.UUID, start, end calendar.Date) (Stranded, error) {
	return s.store.stranded(ctx, id, start, end, s.now())
}

// changeTerms applies and writes the fields that are not in the ledger.
func (s *TermsService) changeTerms(ctx context.Context, before Authorization, c Change, at Moment) (Authorization, error) {
	after, err := before.With(c)
	if err != nil {
		return after, err
	}
	if allowed := decisions[before.Decision]; !slices.Contains(allowed, after.Decision) {
		return after, ErrTransition.With(Transition{before.Decision, after.Decision, allowed},
			"The authorization is %s and cannot become %s.", before.Decision, after.Decision)
	}
	if c.InsuranceID.Given {
		if err := s.Directory.CheckReferences(ctx, after.PatientID, after.ServiceCodeID, after.InsuranceID); err != nil {
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
		after.UnitsByDate = nil
		if after.Caps.byDate() {
			booked, err := s.store.booked(ctx, before.ID)
			if err != nil {
				return after, err
			}
			after.UnitsByDate = booked
		}
	}
	after.Version++
	after.UpdatedAt = at.Now
	return after, s.store.saveTerms(ctx, after)
}

// Delete deletes an authorization without reservations or entries. Errors: [ErrNotFound],
// [patch.ErrStale], [ErrHasHistory].
func (s *TermsService) Delete(ctx context.Context, id uuid.UUID, match patch.Match) error {
	_, err := db.Serializable(ctx, s.Database, "authorization.delete", func(ctx context.Context) (struct{}, error) {
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
