package app

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/mailing"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/permission"
)

// families reminds families of appointments by mail.
type families struct{ app *App }

// Remind implements [appointments.Families]. A user with several patients gets one mail for an
// appointment.
func (f families) Remind(ctx context.Context, reminders []appointments.FamilyReminder) error {
	if !f.app.Mail.Enabled() {
		return nil
	}
	var organizations, patients []uuid.UUID
	for _, r := range reminders {
		organizations = append(organizations, r.OrganizationID)
		patients = append(patients, r.PatientIDs...)
	}
	if len(patients) == 0 {
		return nil
	}
	found, err := f.app.Access.Users.Families(ctx, organizations, patients)
	if err != nil {
		return err
	}
	var messages []mail.Message
	for _, r := range reminders {
		written := map[uuid.UUID]bool{}
		for _, patient := range r.PatientIDs {
			for _, user := range found {
				if user.PatientID != patient || user.OrganizationID != r.OrganizationID || written[user.UserID] {
					continue
				}
				written[user.UserID] = true
				messages = append(messages, mail.Message{
					OrganizationID: r.OrganizationID, UserID: user.UserID, To: user.Email, Kind: mail.AppointmentReminder,
					Values: mail.Values{Name: user.Name, At: r.Start}, ExpiresAt: r.Start,
				})
			}
		}
	}
	return f.app.Mail.QueueReminders(ctx, messages)
}

// mailAlerts counts the open alerts of users.
type mailAlerts struct{ app *App }

// maxDigest is the largest number of alerts that is counted.
const maxDigest = 999

// Open implements [mailing.Alerts].
func (m mailAlerts) Open(ctx context.Context, organization, user uuid.UUID) (*mailing.OpenAlerts, error) {
	type account struct {
		caller identity.Caller
		open   mailing.OpenAlerts
	}
	ctx = identity.With(ctx, identity.System(organization))
	found, err := db.Snapshot(ctx, m.app.database, "mail.digest-user", func(ctx context.Context) (account, error) {
		caller, err := m.app.Access.Accounts.CurrentCaller(ctx, organization, user)
		if err != nil {
			return account{}, err
		}
		u, err := m.app.Access.Accounts.User(ctx, user)
		return account{caller, mailing.OpenAlerts{Email: u.Email, Name: u.Name}}, err
	})
	if errors.Is(err, identity.ErrUnauthenticated) || err == nil && !found.caller.Holds(permission.ReportRead) {
		return nil, nil //nolint:nilnil // as the interface says
	}
	if err != nil {
		return nil, err
	}
	ctx = identity.With(ctx, found.caller.ActingUnder(permission.ReportRead))
	open, err := m.app.Authorizations.Alerts(ctx, authorization.AlertFilter{Acknowledged: new(false), Limit: maxDigest})
	found.open.Count = len(open)
	return &found.open, err
}

// sendDigests queues the digests of alerts that are due.
func (a *App) sendDigests(ctx context.Context) (int64, error) {
	return a.Mail.SendDigests(ctx, mailAlerts{a})
}

// digestPoll is the interval between looks for digests that are due.
const digestPoll = 5 * time.Minute
