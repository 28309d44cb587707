package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/modules/audit/siem"
	"omnirapeutic/platform/db"
)

// Limits of an export to a SIEM.
const (
	maxExportChains = 100 // that are read at once
	maxExportEvents = 500 // of one chain, in one message
)

// SendToSIEM sends sealed events to each configured destination, in the order of each chain, and returns their
// number. It stores the position of the last event after the receiver has acknowledged it, so a receiver gets
// each event at least once, and the next run continues there. A destination that fails does not keep the others
// from getting the events. It is for one instance at a time.
func (s *Service) SendToSIEM(ctx context.Context) (int64, error) {
	var total int64
	var failures []error
	for _, to := range s.siem {
		sent, err := s.sendTo(ctx, to)
		total += sent
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", to.Name(), err))
		}
	}
	return total, errors.Join(failures...)
}

// sendTo sends what one destination does not have yet.
func (s *Service) sendTo(ctx context.Context, to siem.Destination) (total int64, err error) {
	for {
		behind, err := db.Snapshot(ctx, s.database, "audit.export-heads", func(ctx context.Context) ([]exportHead, error) {
			return s.store.exportHeads(ctx, to.Name(), maxExportChains)
		}, db.AllOrganizations())
		if err != nil {
			return total, err
		}
		for _, h := range behind {
			sent, err := s.sendChain(ctx, to, h)
			total += sent
			if err != nil {
				return total, err
			}
		}
		if len(behind) < maxExportChains {
			return total, nil
		}
	}
}

// sendChain sends the events of one chain after a position.
func (s *Service) sendChain(ctx context.Context, to siem.Destination, h exportHead) (total int64, err error) {
	for {
		entries, err := s.entriesAfter(ctx, h)
		if err != nil {
			return total, err
		}
		if len(entries) == 0 { // they were removed
			h.Position = h.LastPosition
			return total, s.storeExported(ctx, to.Name(), h)
		}
		events := make([]siem.Event, len(entries))
		for i, e := range entries {
			events[i] = siemEventOf(e)
		}
		if err := to.Send(ctx, events); err != nil {
			return total, err
		}
		h.Position = *entries[len(entries)-1].Position
		if err := s.storeExported(ctx, to.Name(), h); err != nil {
			return total, err
		}
		total += int64(len(events))
		if len(entries) < maxExportEvents {
			return total, nil
		}
	}
}

func (s *Service) entriesAfter(ctx context.Context, h exportHead) ([]Entry, error) {
	return db.Snapshot(ctx, s.database, "audit.export-events", func(ctx context.Context) ([]Entry, error) {
		if err := db.Admit(ctx, h.OrganizationID); err != nil {
			return nil, err
		}
		return s.store.sealedAfter(ctx, h.OrganizationID, h.Position, maxExportEvents)
	})
}

func (s *Service) storeExported(ctx context.Context, destination string, h exportHead) error {
	_, err := db.ReadCommitted(ctx, s.database, "audit.exported", func(ctx context.Context) (struct{}, error) {
		if err := db.Admit(ctx, h.OrganizationID); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.store.setExported(ctx, destination, h, s.now())
	})
	return err
}

// exportHead is how far a destination has a chain.
type exportHead struct {
	OrganizationID uuid.UUID
	Position       int64
	LastPosition   int64 // of the chain
}

func siemEventOf(e Entry) siem.Event {
	return siem.Event{
		OrganizationID: e.Event.OrganizationID, Position: *e.Position, Hash: e.Hash.String(),
		OccurredAt: e.Event.OccurredAt.UTC(), ActorID: e.Event.ActorID, RequestID: e.Event.RequestID,
		Address: e.Event.Address, Action: e.Event.Action, Outcome: string(e.Event.Outcome),
		SubjectType: e.Event.SubjectType, SubjectID: e.Event.SubjectID, PatientID: e.Event.PatientID,
		GrantID: e.Event.GrantID, Before: rawJSON(e.Event.Before), After: rawJSON(e.Event.After),
	}
}

func rawJSON(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}
