package billing

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
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
// of the period or of these sessions, and the other sessions of these claims. It takes two round trips, and
// more if claims have other sessions. The given queries are sent in the first one.
func (s *Service) load(ctx context.Context, from, to calendar.Date, with ...db.Query) (book, error) {
	b := book{
		sessions: map[uuid.UUID]appointments.Delivered{}, authorizations: map[uuid.UUID]authorization.Authorization{},
	}
	data, err := s.Directory.ClaimData(ctx)
	if err != nil {
		return b, err
	}
	delivered, err := s.Sessions.Delivered(ctx, from, to, nil)
	if err != nil {
		return b, err
	}
	if err := db.ReadAll(ctx, slices.Concat(with, data.Queries, delivered.Queries)...); err != nil {
		return b, err
	}
	if b.data, err = data.Value(ctx); err != nil {
		return b, err
	}
	for {
		if err := s.loadRest(ctx, &b, delivered, from, to); err != nil {
			return b, err
		}
		others := b.unread()
		if len(others) == 0 {
			return b, s.loadPatients(ctx, &b)
		}
		if delivered, err = s.Sessions.Delivered(ctx, to.AddDays(1), to, others); err != nil {
			return b, err
		}
		if err := db.ReadAll(ctx, delivered.Queries...); err != nil {
			return b, err
		}
	}
}

// loadRest adds sessions to the book: it reads, in one round trip, their conflicts, authorizations and patients,
// and the claims of all sessions.
func (s *Service) loadRest(
	ctx context.Context, b *book, delivered *appointments.DeliveredReading, from, to calendar.Date,
) error {
	found, withConflicts, err := delivered.WithConflicts(ctx)
	if err != nil {
		return err
	}
	b.add(found)
	authorizations, patients := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for _, d := range found {
		for _, p := range d.Patients {
			authorizations[p.AuthorizationID], patients[p.PatientID] = true, true
		}
	}
	granted, err := s.Authorizations.ByID(ctx, slices.Collect(maps.Keys(authorizations)))
	if err != nil {
		return err
	}
	people, err := s.Directory.PatientClaimData(ctx, slices.Collect(maps.Keys(patients)))
	if err != nil {
		return err
	}
	claims, err := s.store.claimsOf(ctx, from, to, slices.Collect(maps.Keys(b.sessions)))
	if err != nil {
		return err
	}
	err = db.ReadAll(ctx, slices.Concat(withConflicts.Queries, granted.Queries, people.Queries, claims.queries)...)
	if err != nil {
		return err
	}
	if found, err = withConflicts.Value(ctx); err != nil {
		return err
	}
	b.add(found)
	byID, err := granted.Value(ctx)
	if err != nil {
		return err
	}
	maps.Copy(b.authorizations, byID)
	b.claims = claims.claims()
	known, err := people.Value(ctx)
	b.data.AddPatients(known)
	return err
}

// loadPatients reads the patients of claims that have no session in the book.
func (s *Service) loadPatients(ctx context.Context, b *book) error {
	missing := map[uuid.UUID]bool{}
	for _, c := range b.claims {
		if _, exists := b.data.Patients[c.PatientID]; !exists {
			missing[c.PatientID] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	r, err := s.Directory.PatientClaimData(ctx, slices.Collect(maps.Keys(missing)))
	if err != nil {
		return err
	}
	people, err := r.Read(ctx)
	b.data.AddPatients(people)
	return err
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
