package rbac

import (
	"context"

	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// noteAsked records that the user's right password was given and the second factor was requested.
// The event has no actor, because the sign-in is not complete.
func (s *Service) noteAsked(ctx context.Context, u User) error {
	e := s.signInEvent(ctx, u)
	e.Action = "second-factor.ask"
	return s.audit.Note(ctx, []trail.Event{e})
}

// recordedRecovery is the After value of a recovery code's use.
type recordedRecovery struct {
	Left int `json:"left"`
}

// recordRecovery records that a recovery code was used, and how many are left.
func (s *Service) recordRecovery(ctx context.Context, f factor, left int) error {
	return s.audit.Record(ctx, []trail.Event{{
		OrganizationID: f.OrganizationID, ActorID: f.UserID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
		Action: "second-factor.use-recovery-code", SubjectType: "user", SubjectID: f.UserID, OccurredAt: s.now(), After: recordedRecovery{left},
	}})
}
