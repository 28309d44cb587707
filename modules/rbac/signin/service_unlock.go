package signin

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// Unlock unlocks the sign-in of a user of the caller's organization: earlier failed attempts no
// longer count, from any source. Errors: [rbac.ErrUserNotFound], [identity.ErrBeyondOwn] for a user
// with more permissions than the caller.
func (s *Service) Unlock(ctx context.Context, id uuid.UUID) error {
	const action = "user.unlock"
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	_, err := db.Serializable(ctx, s.Database, action, func(ctx context.Context) (struct{}, error) {
		if _, err := s.Accounts.AdministeredUser(ctx, id); err != nil {
			return struct{}{}, err
		}
		if err := s.Accounts.MarkUnlocked(ctx, id); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: action, SubjectType: "user", SubjectID: id, OccurredAt: s.Clock.Now(),
		})
	})
	return err
}
