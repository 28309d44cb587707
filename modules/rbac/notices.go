package rbac

import (
	"context"
	"time"

	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/trail"
)

// NotifyChange sends a user a mail about a change of their sign-in, in the transaction of the context,
// if mail can reach the address.
func NotifyChange(ctx context.Context, c Core, u User, change mail.Change) error {
	return c.notify(ctx, u, mail.SecurityChange, mail.Values{Change: change, At: c.Clock.Now()})
}

// NotifySignIn sends a user a mail about a sign-in on a new device, likewise. The mail shows the
// network address of the request.
func NotifySignIn(ctx context.Context, c Core, u User) error {
	return c.notify(ctx, u, mail.NewDevice, mail.Values{At: c.Clock.Now(), Address: trail.Address(ctx)})
}

// noticeLifetime is how long a notice is worth sending.
const noticeLifetime = 24 * time.Hour

func (c Core) notify(ctx context.Context, u User, kind mail.Kind, values mail.Values) error {
	if !c.Mail.Enabled() {
		return nil
	}
	ctx = identity.With(ctx, identity.System(u.OrganizationID)) // a sign-in has no caller yet
	reachable, err := c.Mail.CanReach(ctx, u.Email)
	if err != nil || !reachable {
		return err
	}
	values.Name = u.Name
	return c.Mail.Queue(ctx, mail.Message{
		OrganizationID: u.OrganizationID, UserID: u.ID, To: u.Email, Kind: kind, Values: values,
		ExpiresAt: c.Clock.Now().Add(noticeLifetime),
	})
}
