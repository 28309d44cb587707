package rbac

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// recordedProvider is an identity provider in the audit trail. It contains no personal data.
type recordedProvider struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"clientId"`
	Version  int    `json:"version"`
}

// recordProvider records that the caller has entered a provider (before has no version), changed
// it, or removed it (after has no version).
func (s *Service) recordProvider(ctx context.Context, action string, before, after IdentityProvider) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	recordOf := func(p IdentityProvider) any {
		if p.Version == 0 {
			return nil
		}
		return recordedProvider{p.Issuer, p.ClientID, p.Version}
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "organization", after.OrganizationID, s.now()
	e.Before, e.After = recordOf(before), recordOf(after)
	return s.audit.Record(ctx, []trail.Event{e})
}

// signedInBy is the After value of a sign-in.
type signedInBy struct {
	Method string `json:"method"`
	Reason string `json:"reason,omitempty"` // the reason for a refusal
}

const methodOpenID = "oidc"

// noteOpenID records a sign-in with a provider, or its refusal and the reason.
func (s *Service) noteOpenID(ctx context.Context, u User, refused string) error {
	e := trail.Event{
		OrganizationID: u.OrganizationID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
		Action: "user.sign-in", SubjectType: "user", SubjectID: u.ID, OccurredAt: s.now(), After: signedInBy{methodOpenID, refused},
	}
	if refused == "" {
		e.ActorID = u.ID
	} else {
		e.Outcome = trail.Denied
	}
	if u.ID == uuid.Nil {
		e.SubjectType = ""
	}
	return s.audit.Note(ctx, []trail.Event{e})
}
