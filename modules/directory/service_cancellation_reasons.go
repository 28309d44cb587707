package directory

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/record"
)

var cancellationReasons = crud[CancellationReason, *CancellationReason]{
	name: "cancellation-reason", notFound: ErrCancellationReasonNotFound, valid: CancellationReason{Code: "0"},
	recorded: recordedCancellationReason,
}

// CreateCancellationReason creates a cancellation reason. Errors: [fault.ErrInvalid],
// [ErrCancellationReasonTaken].
func (s *Service) CreateCancellationReason(ctx context.Context, n NewCancellationReason) (CancellationReason, error) {
	return cancellationReasons.create(ctx, s, CancellationReason{
		Code: n.Code, Name: n.Name, Party: n.Party, Active: n.Active == nil || *n.Active,
	})
}

// CancellationReason returns a cancellation reason. The error is [ErrCancellationReasonNotFound].
func (s *Service) CancellationReason(ctx context.Context, id uuid.UUID) (CancellationReason, error) {
	return cancellationReasons.get(ctx, s, id)
}

// CancellationReasons lists cancellation reasons.
func (s *Service) CancellationReasons(ctx context.Context, f CancellationReasonFilter) ([]CancellationReason, error) {
	return cancellationReasons.list(ctx, s, f.Page, equals("party", f.Party))
}

// ChangeCancellationReason changes a cancellation reason. Errors: [patch.ErrStale],
// [ErrCancellationReasonNotFound].
func (s *Service) ChangeCancellationReason(
	ctx context.Context, c CancellationReasonChange,
) (CancellationReason, error) {
	return cancellationReasons.change(ctx, s, c.ID, c.Match, func(r *CancellationReason) {
		c.Name.Apply(&r.Name)
		c.Party.Apply(&r.Party)
		c.Active.Apply(&r.Active)
	})
}

// CancellationReasonsByKey returns the existing reasons, in the transaction of the context. It runs no
// query without keys, and needs no caller.
func (s *Service) CancellationReasonsByKey(
	ctx context.Context, keys []record.Key,
) (map[record.Key]CancellationReason, error) {
	rows, err := s.store.cancellationReasons(ctx, keys)
	found := make(map[record.Key]CancellationReason, len(rows))
	for _, r := range rows {
		found[record.Of(r.OrganizationID, r.ID)] = r
	}
	return found, err
}
