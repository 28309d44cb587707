package session

import (
	"context"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// SignInTrail logs sign-ins and their refusals, and records them in the audit trail.
type SignInTrail struct{ core rbac.Core }

// NewSignInTrail returns the trail.
func NewSignInTrail(core rbac.Core) SignInTrail { return SignInTrail{core} }

// RefusedSignIn is the After value of a refused sign-in.
type RefusedSignIn struct {
	Reason string `json:"reason"`
}

// Refuse records that a sign-in was refused for the reason, and returns the refusal.
func (t SignInTrail) Refuse(ctx context.Context, u rbac.User, reason string, refusal error) error {
	t.LogRefusal(ctx, "sign_in_refused", u, reason).Warn("sign-in refused")
	if err := t.core.Audit.Note(ctx, []trail.Event{t.RefusalEvent(ctx, u, reason)}); err != nil {
		return err
	}
	return refusal
}

// LogRefusal returns the logger of a refusal with the user, the reason and the network address, so
// that an operator can block the address.
func (t SignInTrail) LogRefusal(ctx context.Context, event string, u rbac.User, reason string) logrus.FieldLogger {
	fields := UserFields(event, u)
	fields["reason"], fields["address"] = reason, trail.Address(ctx)
	return t.core.Logger.WithFields(fields)
}

// UserFields returns the fields of a log entry about a user.
func UserFields(event string, u rbac.User) logrus.Fields {
	fields := logrus.Fields{"event": event}
	if u.ID != uuid.Nil {
		fields["user_id"], fields["organization_id"] = u.ID, u.OrganizationID
	}
	return fields
}

// Event returns the event of a sign-in, without an actor.
func (t SignInTrail) Event(ctx context.Context, u rbac.User) trail.Event {
	e := trail.Event{
		OrganizationID: u.OrganizationID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
		Action: "user.sign-in", SubjectType: "user", SubjectID: u.ID, OccurredAt: t.core.Clock.Now(),
	}
	if u.ID == uuid.Nil {
		e.SubjectType = ""
	}
	return e
}

// RefusalEvent returns the event of a refused sign-in. For an unknown address it has no organization
// and not the address, which may be a password.
func (t SignInTrail) RefusalEvent(ctx context.Context, u rbac.User, reason string) trail.Event {
	e := t.Event(ctx, u)
	e.Outcome, e.After = trail.Denied, RefusedSignIn{reason}
	return e
}
