package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// Record writes events in the transaction of the context, in one statement. They are stored if,
// and only if, it commits. It needs no caller: each event names its organization and its actor.
// Denials without an organization are only counted, see [Attempts].
//
// Errors are database errors or bugs: an event without an action, an outcome or a time, or a
// value that is not a JSON object.
func (s *Service) Record(ctx context.Context, events []trail.Event) error {
	stored, refused := s.attempts.separate(events)
	rows, err := eventRows(stored)
	if err != nil {
		return err
	}
	if err := s.store.addAttempts(ctx, refused); err != nil || len(events) == 0 {
		return err
	}
	err = db.AfterCommit(ctx, func(context.Context) {
		s.observe(events)
		if len(rows) > 0 {
			s.signalSealer()
		}
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	return s.store.insert(ctx, rows)
}

func eventRows(events []trail.Event) ([]eventRow, error) {
	rows := make([]eventRow, len(events))
	for i, e := range events {
		r, err := eventRowOf(e)
		if err != nil {
			return nil, fmt.Errorf("audit: %q cannot be recorded: %w", e.Action, err)
		}
		rows[i] = r
	}
	return rows, nil
}

func (s *Service) signalSealer() {
	select {
	case s.sealSignal <- struct{}{}:
	default: // a signal is already pending
	}
}

var actions = regexp.MustCompile(`^[a-z][a-z-]*([.][a-z][a-z-]*)+$`)

var errAction = errors.New("the action does not have the form noun.verb")

func eventRowOf(e trail.Event) (eventRow, error) {
	r := eventRow{
		OrganizationID: e.OrganizationID, OccurredAt: e.OccurredAt.UTC().Truncate(time.Microsecond),
		ActorID:   optionalID(e.ActorID),
		RequestID: e.RequestID, Action: e.Action, Outcome: e.Outcome, SubjectType: e.SubjectType,
		SubjectID: optionalID(e.SubjectID),
		PatientID: e.PatientID, Address: e.Address, GrantID: e.GrantID,
	}
	if r.Outcome == "" {
		r.Outcome = trail.Done
	}
	switch {
	case !actions.MatchString(r.Action):
		return eventRow{}, errAction
	case r.OccurredAt.IsZero():
		return eventRow{}, errors.New("the event has no time")
	}
	var err error
	if r.Before, err = jsonObject(e.Before); err == nil {
		r.After, err = jsonObject(e.After)
	}
	if err == nil {
		err = r.show(e.Records)
	}
	return r, err
}

func optionalID(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// jsonObject returns the value as a JSON object; nil if there is no value.
func jsonObject(value any) (*string, error) {
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
