package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/config"
	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/mailing"
	"omnirapeutic/platform/smtp"
)

// newMail builds the module that sends mail.
func (a *App) newMail(d Dependencies, secrets config.KeySecrets) error {
	sender, err := newMailSender(d.Config.Mail, d.MailRoots)
	a.Mail = mailing.New(mailing.Dependencies{
		Database:  d.Database,
		Audit:     a.Audit,
		Directory: mailDirectory{a.Directory},
		Clock:     d.Clock,
		NewID:     d.NewID,
		Logger:    d.Logger,
		Sender:    sender,
		Secrets:   secrets.Encryption,
	})
	return err
}

// newMailSender returns the sender of mail; nil: mail is not configured.
func newMailSender(c config.Mail, roots *x509.CertPool) (*smtp.Sender, error) {
	if !c.Enabled() {
		return nil, nil
	}
	server, err := smtp.ParseURL(c.URL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("mail.smtp_url %w", err)
	}
	from, err := smtp.ParseFrom(c.From)
	if err != nil {
		return nil, fmt.Errorf("mail.from %w", err)
	}
	return smtp.NewSender(server, from, roots)
}

// mailDirectory provides mail with organizations.
type mailDirectory struct{ *directory.Service }

// Organizations implements [mailing.Directory].
func (d mailDirectory) Organizations(ctx context.Context, ids []uuid.UUID) ([]mailing.Organization, error) {
	found, err := d.OrganizationsByID(ctx, ids)
	organizations := make([]mailing.Organization, len(found))
	for i, o := range found {
		zone, zoneErr := time.LoadLocation(o.TimeZone)
		if zoneErr != nil {
			return nil, zoneErr
		}
		organizations[i] = mailing.Organization{ID: o.ID, Name: o.Name, Location: zone, Disabled: o.Disabled}
	}
	return organizations, err
}
