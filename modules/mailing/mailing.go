// Package mailing sends mail to people: it keeps the queue, the templates, and the addresses that
// refuse mail. Other modules hand it messages of the package platform/mail.
package mailing

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/smtp"
	"omnirapeutic/platform/trail"
)

// ErrRefusedAddressNotFound is returned if the caller's organization has no such address.
var ErrRefusedAddressNotFound = fault.Define(fault.NotFound, "refused-address-not-found", "Address not found.")

// Directory provides organizations. The module directory implements it.
type Directory interface {
	// Organizations returns the organizations with the ids, in the transaction of the context.
	Organizations(ctx context.Context, ids []uuid.UUID) ([]Organization, error)
}

// Organization is the part of an organization that mail shows.
type Organization struct {
	ID       uuid.UUID
	Name     string
	Location *time.Location // in which times are shown
	Disabled bool
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	Database  *db.DB
	Audit     trail.Recorder
	Directory Directory
	Clock     func() time.Time
	NewID     func() uuid.UUID
	Logger    logrus.FieldLogger
	// Sender sends the mail; nil: mail is not configured, and no message may be queued.
	Sender *smtp.Sender
	// Secrets encrypt the queue. The first is in use, the others are former ones.
	Secrets [][]byte
}

// Service queues and sends mail. It is safe for concurrent use.
type Service struct {
	Dependencies

	sealer encryption.Sealer
	store  store
	due    chan struct{} // signals that a mail was queued
	tried  *counters
}

// New returns the service.
func New(d Dependencies) *Service {
	return &Service{Dependencies: d, sealer: encryption.New("mail", d.Secrets...), due: make(chan struct{}, 1), tried: &counters{}}
}

// now returns the time with the precision of the database: whole microseconds.
func (s *Service) now() time.Time { return s.Clock().UTC().Truncate(time.Microsecond) }

// State is the state of a mail.
type State string

// The states of mail. All but the first are final.
const (
	Queued   State = "QUEUED"
	Sent     State = "SENT"
	Failed   State = "FAILED"   // rejected, or postponed too often
	Refused  State = "REFUSED"  // the recipient was refused
	Withheld State = "WITHHELD" // the address had refused earlier mail
	Expired  State = "EXPIRED"
)

// queuedMail is a mail in the queue.
type queuedMail struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	UserID         *uuid.UUID
	Address        string
	Kind           mail.Kind
	Content        []byte // encrypted
	Attempts       int    // including this one
	CreatedAt      time.Time
	ExpiresAt      time.Time
	NextAttemptAt  time.Time
	IsRefused      bool     // the address has refused earlier mail
	Language       Language // of the recipient
	NamesPractice  bool     // in reminders of appointments
}

// RefusedAddress is an address that gets no mail, because its mail server has refused it.
type RefusedAddress struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	Address        string
	UserID         *uuid.UUID
	Kind           mail.Kind // of the refused mail
	Reply          string    // the codes of the reply, such as "550 5.1.1"
	RefusedAt      time.Time
}
