// Package mail defines the messages by which modules write to people. A module hands messages over
// in the transaction of the change. Each message is sent at least once, and only if that transaction
// commits.
package mail

import (
	"time"

	"github.com/google/uuid"
)

// Kind is a kind of messages. Each kind has its own template.
type Kind string

// The kinds of messages.
const (
	Invitation          Kind = "invitation"           // a person is invited to become a user
	PasswordReset       Kind = "password-reset"       // a link to set a new password, created by an administrator
	RequestedReset      Kind = "requested-reset"      // such a link that the user has requested
	NewDevice           Kind = "new-device"           // a sign-in on a new device
	SecurityChange      Kind = "security-change"      // a change of the sign-in
	AppointmentReminder Kind = "appointment-reminder" // for families who have asked for it
	AlertDigest         Kind = "alert-digest"         // the number of open alerts, for users who have asked for it
)

// Change is a change of a user's sign-in.
type Change string

// The changes of which users are notified.
const (
	PasswordChanged      Change = "password"
	EmailChanged         Change = "email"
	SecondFactorOn       Change = "second-factor-on"
	SecondFactorOff      Change = "second-factor-off"
	RecoveryCodesRenewed Change = "recovery-codes"
	APIKeyCreated        Change = "api-key"
)

// Message is one message to one address. The module mailing stores it encrypted, because links
// contain secrets, and removes its values once it was sent.
type Message struct {
	OrganizationID uuid.UUID
	UserID         uuid.UUID // the recipient; zero if the recipient is not a user
	To             string    // the address, in lower case
	Kind           Kind
	Values         Values
	ExpiresAt      time.Time // the message is useless afterwards and no longer sent; zero: after a day
}

// Values are the values of a message's template. They contain no health data.
type Values struct {
	Name    string    `json:"name,omitempty"`    // of the recipient
	Link    string    `json:"link,omitempty"`    // to a configured page
	Until   time.Time `json:"until,omitzero"`    // the end of the link's validity
	At      time.Time `json:"at,omitzero"`       // the time of the event
	Change  Change    `json:"change,omitempty"`  // of the sign-in
	Count   int       `json:"count,omitempty"`   // of alerts
	Address string    `json:"address,omitempty"` // the network address of a sign-in
}
