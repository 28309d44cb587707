// Package audit stores the audit trail: who did what, and who read what. Package trail defines
// the events.
//
// A change is recorded in its own transaction ([Service.Record]), with an insert that blocks no
// other transaction. After the commit a sealer assigns each event its position, 1, 2, 3, …, and a
// hash over the event and the previous hash. One sealer at a time works on an organization. So
// the trail contains exactly the committed events, and the chain reveals every event that is
// changed, removed or inserted later.
package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// Service stores the audit trail. It is safe for concurrent use.
type Service struct {
	database *db.DB
	clock    func() time.Time
	logger   logrus.FieldLogger
	store    store
	notes    *command.Queue[[]trail.Event, struct{}]
	recorded chan struct{} // signals the sealer after a commit
	attempts tally         // of callers without an organization
	spool    *Spool        // nil: events that the database does not accept are refused
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	Database *db.DB
	Clock    func() time.Time
	Logger   logrus.FieldLogger
	Metrics  *command.Metrics // records the batches of [Service.Note]; may be nil
	// Spool is the queue of [Service.Note] for events that the database does not accept; nil: they
	// are refused.
	Spool *Spool
}

// New returns the service.
func New(d Dependencies) *Service {
	s := &Service{database: d.Database, clock: d.Clock, logger: d.Logger, recorded: make(chan struct{}, 1), spool: d.Spool}
	s.notes = s.newNotes(d.Metrics)
	return s
}

// Record writes events in the transaction of the context, in one statement. They are stored if,
// and only if, it commits. It needs no caller: each event names its organization and its actor.
// Denials without an organization are only counted, see [Attempts].
//
// Errors are database errors or bugs: an event without an action, an outcome or a time, or a
// value that is not a JSON object.
func (s *Service) Record(ctx context.Context, events []trail.Event) error {
	events, refused := s.attempts.split(events)
	rows, err := rowsOf(events)
	if err != nil {
		return err
	}
	if err := s.store.addAttempts(ctx, refused); err != nil || len(rows) == 0 {
		return err
	}
	if err := db.AfterCommit(ctx, func(context.Context) { s.wake() }); err != nil {
		return err
	}
	return s.store.insert(ctx, rows)
}

func rowsOf(events []trail.Event) ([]row, error) {
	rows := make([]row, len(events))
	for i, e := range events {
		r, err := rowOf(e)
		if err != nil {
			return nil, fmt.Errorf("audit: %q cannot be recorded: %w", e.Action, err)
		}
		rows[i] = r
	}
	return rows, nil
}

func (s *Service) wake() {
	select {
	case s.recorded <- struct{}{}:
	default: // a signal is already pending
	}
}

// row is an event as stored in the database.
type row struct {
	OrganizationID uuid.UUID
	Sequence       int64 // from a sequence of the database
	OccurredAt     time.Time
	ActorID        *uuid.UUID
	RequestID      string
	Action         string
	Outcome        trail.Outcome
	SubjectType    string
	SubjectID      *uuid.UUID
	PatientID      *uuid.UUID
	Address        string
	GrantID        *uuid.UUID
	Before, After  *string // JSON
}

var actions = regexp.MustCompile(`^[a-z][a-z-]*([.][a-z][a-z-]*)+$`)

var errAction = errors.New("the action does not have the form noun.verb")

func rowOf(e trail.Event) (row, error) {
	r := row{
		OrganizationID: e.OrganizationID, OccurredAt: e.OccurredAt.UTC().Truncate(time.Microsecond),
		ActorID:   unlessNil(e.ActorID),
		RequestID: e.RequestID, Action: e.Action, Outcome: e.Outcome, SubjectType: e.SubjectType,
		SubjectID: unlessNil(e.SubjectID),
		PatientID: e.PatientID, Address: e.Address, GrantID: e.GrantID,
	}
	if r.Outcome == "" {
		r.Outcome = trail.Done
	}
	switch {
	case !actions.MatchString(r.Action):
		return row{}, errAction
	case r.OccurredAt.IsZero():
		return row{}, errors.New("the event has no time")
	}
	var err error
	if r.Before, err = object(e.Before); err == nil {
		r.After, err = object(e.After)
	}
	return r, err
}

func unlessNil(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// object returns the value as a JSON object; nil if there is no value.
func object(value any) (*string, error) {
	if value == nil {
		return nil, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	switch {
	case string(text) == "null": // a nil pointer
		return nil, nil
	case text[0] != '{':
		return nil, fmt.Errorf("%T is not a JSON object", value)
	}
	return new(string(text)), nil
}
