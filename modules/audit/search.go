package audit

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// What a caller may be allowed to do with the trail.
const (
	PermissionRead   identity.Permission = "audit:read"
	PermissionExport identity.Permission = "audit:export"
)

// Filter narrows a search; zero values do not narrow it.
type Filter struct {
	ActorID, PatientID, SubjectID uuid.UUID
	Action                        string // all of it, or, ending with a dot, how it begins
	Outcome                       trail.Outcome
	From, To                      time.Time // from the one on, and before the other
}

// place is where an event stands in the order of a search.
type place struct {
	OccurredAt time.Time `json:"at"`
	Sequence   int64     `json:"sequence"`
}

// Entry is an event as it is kept, with its seal where it has one already.
type Entry struct {
	Event    row `gorm:"embedded"` // named, since gorm passes over embedded types that are not exported
	Position *int64
	Hash     *Hash
}

func (e Entry) place() place { return place{e.Event.OccurredAt, e.Event.Sequence} }

// Search returns events of the caller's organization, the newest first, those that
// are older than the place where there is one.
func (s *Service) Search(ctx context.Context, f Filter, after *place, limit int) ([]Entry, error) {
	return db.Snapshot(ctx, s.database, "audit.search", func(ctx context.Context) ([]Entry, error) {
		return s.store.search(ctx, f, after, true, limit)
	})
}

// exportBatch is how many events an export holds in memory at once.
const exportBatch = 500

// exported are the After of an export: what was asked for.
type exported struct {
	Format    string     `json:"format"`
	ActorID   *uuid.UUID `json:"actorId,omitempty"`
	PatientID *uuid.UUID `json:"patientId,omitempty"`
	SubjectID *uuid.UUID `json:"subjectId,omitempty"`
	Outcome   string     `json:"outcome,omitempty"`
	From      *time.Time `json:"from,omitempty"`
	To        time.Time  `json:"to"`
}

// Export hands on the events of the caller's organization, the oldest first, those
// until now and some at a time, each part as it is at its moment. That there was an
// export is recorded before the first of them is handed on.
func (s *Service) Export(ctx context.Context, f Filter, format string, send func([]Entry) error) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	if f.To.IsZero() || f.To.After(now) {
		f.To = now.Add(time.Microsecond) // with what happens at this very moment
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.OccurredAt = "audit.export", "audit", now
	e.PatientID = unlessNil(f.PatientID)
	asked := exported{
		Format: format, ActorID: unlessNil(f.ActorID), PatientID: unlessNil(f.PatientID), SubjectID: unlessNil(f.SubjectID),
		Outcome: string(f.Outcome), To: f.To,
	}
	if !f.From.IsZero() {
		asked.From = &f.From
	}
	e.After = asked
	if err := s.Note(ctx, []trail.Event{e}); err != nil {
		return err
	}
	var after *place
	for {
		part, err := db.Snapshot(ctx, s.database, "audit.export", func(ctx context.Context) ([]Entry, error) {
			return s.store.search(ctx, f, after, false, exportBatch)
		})
		if err == nil && len(part) > 0 {
			err = send(part)
		}
		if err != nil || len(part) < exportBatch {
			return err
		}
		last := part[len(part)-1].place()
		after = &last
	}
}
