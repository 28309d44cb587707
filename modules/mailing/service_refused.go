package mailing

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// ListRefused lists the addresses that get no mail of the caller's organization, the oldest first.
func (s *Service) ListRefused(ctx context.Context, k db.Keyset) ([]RefusedAddress, error) {
	return db.Snapshot(ctx, s.Database, "refused-address.list", func(ctx context.Context) ([]RefusedAddress, error) {
		return s.store.listRefused(ctx, k)
	})
}

// recordedAddress is the part of a refused address that the audit trail stores. It omits the address.
type recordedAddress struct {
	UserID *uuid.UUID `json:"userId"`
	Reply  string     `json:"reply"`
}

// Clear lets an address get mail again. The error is [ErrRefusedAddressNotFound].
func (s *Service) Clear(ctx context.Context, id uuid.UUID) error {
	const action = "refused-address.clear"
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	_, err := db.Serializable(ctx, s.Database, action, func(ctx context.Context) (struct{}, error) {
		cleared, err := s.store.clear(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: action, SubjectType: "refused-address", SubjectID: id, OccurredAt: s.now(),
			Before: recordedAddress{cleared.UserID, cleared.Reply},
		})
	})
	return err
}

// Corrected lets an address get mail again, in the transaction of the context: a user has replaced it.
func (s *Service) Corrected(ctx context.Context, address string) error {
	return s.store.clearAddress(ctx, address)
}
