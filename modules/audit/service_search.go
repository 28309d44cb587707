package audit

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// Filter narrows a search. Zero values match every event.
type Filter struct {
	ActorID, PatientID, SubjectID uuid.UUID
	Action                        string // the whole action, or a prefix that ends with a dot
	Outcome                       trail.Outcome
	From, To                      time.Time // From included, To excluded
}

// cursor is the position of an event in the order of a search.
type cursor struct {
	OccurredAt time.Time `json:"at"`
	Sequence   int64     `json:"sequence"`
}

// Entry is a stored event with its seal, if it has one.
type Entry struct {
	Event    eventRow `gorm:"embedded"` // named, because gorm ignores unexported embedded types
	Position *int64
	Hash     *Hash
	Records  *string // the records of the event's list, as JSON
}

func (e Entry) cursor() cursor { return cursor{e.Event.OccurredAt, e.Event.Sequence} }

// Search returns events of the caller's organization, the newest first, after the cursor if there is
// one.
func (s *Service) Search(ctx context.Context, f Filter, after *cursor, limit int) ([]Entry, error) {
	return db.Snapshot(ctx, s.database, "audit.search", func(ctx context.Context) ([]Entry, error) {
		return s.store.search(ctx, f, after, true, limit)
	})
}

// exportBatch is the number of events that an export holds in memory.
const exportBatch = 500

// exportRecord is the After value of an export: its filter.
type exportRecord struct {
	Format    string     `json:"format"`
	ActorID   *uuid.UUID `json:"actorId,omitempty"`
	PatientID *uuid.UUID `json:"patientId,omitempty"`
	SubjectID *uuid.UUID `json:"subjectId,omitempty"`
	Outcome   string     `json:"outcome,omitempty"`
	From      *time.Time `json:"from,omitempty"`
	To        time.Time  `json:"to"`
}

// Export sends the events of the caller's organization up to now, the oldest first, in parts.
// Each part is read in its own snapshot. The export is recorded before the first part is sent.
func (s *Service) Export(ctx context.Context, f Filter, format string, send func([]Entry) error) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	if f.To.IsZero() || f.To.After(now) {
		f.To = now.Add(time.Microsecond) // includes events of this instant
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.OccurredAt = "audit.export", "audit", now
	e.PatientID = optionalID(f.PatientID)
	requested := exportRecord{
		Format: format, ActorID: optionalID(f.ActorID), PatientID: optionalID(f.PatientID),
		SubjectID: optionalID(f.SubjectID),
		Outcome:   string(f.Outcome), To: f.To,
	}
	if !f.From.IsZero() {
		requested.From = &f.From
	}
	e.After = requested
	if err := s.Note(ctx, []trail.Event{e}); err != nil {
		return err
	}
	var after *cursor
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
		last := part[len(part)-1].cursor()
		after = &last
	}
}
