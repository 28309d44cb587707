package rbac

import (
	"context"

	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

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
