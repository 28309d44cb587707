package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/trail"
)

// Core holds what every service of access control needs. Tests provide their own clock and ids.
type Core struct {
	Database *db.DB
	Clock    Clock
	NewID    func() uuid.UUID
	Audit    trail.Recorder
	Mail     Mailer
	Logger   logrus.FieldLogger
}

// Mailer sends mail. The module mailing implements it.
type Mailer interface {
	// Enabled reports whether mail is configured.
	Enabled() bool
	// CanReach reports whether mail to the address can be sent, in the transaction of the context.
	CanReach(ctx context.Context, address string) (bool, error)
	// Corrected lets an address get mail again, because a user has replaced it.
	Corrected(ctx context.Context, address string) error
	// Queue sends the messages if the transaction of the context commits.
	Queue(ctx context.Context, messages ...mail.Message) error
}

// NoMail is the [Mailer] of commands and tests without mail.
type NoMail struct{}

// Enabled implements [Mailer].
func (NoMail) Enabled() bool { return false }

// CanReach implements [Mailer].
func (NoMail) CanReach(context.Context, string) (bool, error) { return false, nil }

// Corrected implements [Mailer].
func (NoMail) Corrected(context.Context, string) error { return nil }

// Queue implements [Mailer].
func (NoMail) Queue(context.Context, ...mail.Message) error { return nil }

// Clock returns the current time.
type Clock func() time.Time

// Now returns the time with the precision of the database: whole microseconds.
func (c Clock) Now() time.Time { return c().UTC().Truncate(time.Microsecond) }

// InUTC returns the time in UTC; nil stays nil.
func InUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}
