package rbac

import (
	"context"

	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// noteAsked keeps that somebody has given the right password of the user, and was asked
// for the second factor. Nobody is its actor: whoever it was has not signed in.
func (s *Service) noteAsked(ctx context.Context, u User) error {
	e := s.signInEvent(ctx, u)
	e.Action = "second-factor.ask"
	return s.audit.Note(ctx, []trail.Event{e})
}

// recoveryTold is the After of a recovery code's use.
type recoveryTold struct {
	Left int `json:"left"`
}

// recordRecovery keeps that a recovery code was used, and how many are left.
func (s *Service) recordRecovery(ctx context.Context, f factor, left int) error {
	return s.audit.Record(ctx, []trail.Event{{
		OrganizationID: f.OrganizationID, ActorID: f.UserID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
		Action: "second-factor.use-recovery-code", SubjectType: "user", SubjectID: f.UserID, OccurredAt: s.now(), After: recoveryTold{left},
	}})
}
