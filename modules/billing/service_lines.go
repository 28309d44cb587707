package billing

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// LineFilter narrows a list of lines. Zero values do not filter.
type LineFilter struct {
	From, To calendar.Date // the service dates, both included
	PayerID  uuid.UUID
	State    State
	Reason   string // the code of a reason
}

func (f LineFilter) matches(l Line) bool {
	return !l.ServiceDate.Before(f.From) && !l.ServiceDate.After(f.To) &&
		(f.PayerID == uuid.Nil || l.PayerID != nil && *l.PayerID == f.PayerID) &&
		(f.State == "" || l.State == f.State) &&
		(f.Reason == "" || slices.ContainsFunc(l.Reasons, func(r Reason) bool { return r.Code == f.Reason }))
}

// Lines returns the lines that match the filter, sorted by service date.
func (s *Service) Lines(ctx context.Context, f LineFilter) ([]Line, error) {
	return db.Snapshot(ctx, s.Database, "billing.lines", func(ctx context.Context) ([]Line, error) {
		b, err := s.load(ctx, f.From, f.To)
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(b.lines(), func(l Line) bool { return !f.matches(l) }), nil
	})
}

// load reads everything from which the lines of a period follow: its sessions, the claims with a line
// of the period or of these sessions, and the other sessions of these claims.
func (s *Service) load(ctx context.Context, from, to calendar.Date) (book, error) {
	b := book{sessions: map[uuid.UUID]appointments.Delivered{}}
	found, err := s.Sessions.Delivered(ctx, from, to, nil)
	if err != nil {
		return b, err
	}
	b.add(found)
	for {
		b.claims, err = s.store.claimsOf(ctx, from, to, slices.Collect(maps.Keys(b.sessions)))
		others := b.unread()
		if err != nil || len(others) == 0 {
			break
		}
		if found, err = s.Sessions.Delivered(ctx, to.AddDays(1), to, others); err != nil {
			return b, err
		}
		b.add(found)
	}
	if err != nil {
		return b, err
	}
	return b, s.loadData(ctx, &b)
}

// unread returns the sessions of claims that are not in the book. Reading them may find more claims: a
// session that was moved to another day has claims of both.
func (b book) unread() []uuid.UUID {
	var unread []uuid.UUID
	for _, c := range b.claims {
		for _, l := range c.Lines {
			if _, exists := b.sessions[l.SessionID]; !exists && !slices.Contains(unread, l.SessionID) {
				unread = append(unread, l.SessionID)
			}
		}
	}
	return unread
}

func (b book) add(sessions []appointments.Delivered) {
	for _, d := range sessions {
		b.sessions[d.ID] = d
	}
}

// loadData reads the authorizations of the sessions, and the master data.
func (s *Service) loadData(ctx context.Context, b *book) error {
	authorizations, patients, insurances := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for _, d := range b.sessions {
		for _, p := range d.Patients {
			authorizations[p.AuthorizationID], patients[p.PatientID] = true, true
		}
	}
	for _, c := range b.claims {
		patients[c.PatientID], insurances[c.InsuranceID] = true, true
	}
	var err error
	b.authorizations, err = s.Authorizations.ByID(ctx, slices.Collect(maps.Keys(authorizations)))
	if err != nil {
		return err
	}
	for _, a := range b.authorizations {
		if a.InsuranceID != nil {
			insurances[*a.InsuranceID] = true
		}
	}
	b.data, err = s.Directory.ClaimData(ctx, slices.Collect(maps.Keys(patients)), slices.Collect(maps.Keys(insurances)))
	return err
}

const subjectLine = "billing-line"

// show records that lines are shown to the caller, once for each patient.
func show(ctx context.Context, lines ...Line) {
	seen := map[uuid.UUID]bool{}
	for _, l := range lines {
		if !seen[l.PatientID] {
			seen[l.PatientID] = true
			trail.Show(ctx, trail.Subject{Type: subjectLine, ID: l.ID, PatientID: l.PatientID})
		}
	}
}
