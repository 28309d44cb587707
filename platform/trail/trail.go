// Package trail has the words in which modules say who did and who read what. A
// module hands events on in the transaction of the change, and they are kept for
// as long as the law asks for them: only if that transaction commits, and never
// changed afterwards.
package trail

import (
	"context"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// ErrNotRecorded says that something could not be put on record: then it does not happen.
var ErrNotRecorded = fault.Define(fault.Unavailable, "not-recorded", "What was asked for could not be entered in the audit trail, so it is not answered. Nothing has been changed; try again soon.").
	Advising("Wait as `Retry-After` says and send the same request again.")

// Outcome says what came of an attempt.
type Outcome string

// The outcomes.
const (
	Done   Outcome = "done"
	Denied Outcome = "denied" // for want of a permission, or of the right password
)

// Event is one thing that somebody did, read, or was not allowed to.
//
// It outlives what it tells of, and auditors read it. So it holds ids, times,
// states, numbers, and the names of fields, and of people's data nothing else:
// no names, no notes, no numbers of members.
type Event struct {
	// OrganizationID is [uuid.Nil] if the event concerns no organization, such as a sign-in with an unknown address. Such
	// denials are only counted.
	OrganizationID uuid.UUID
	ActorID        uuid.UUID // who; [uuid.Nil]: somebody who is not signed in
	RequestID      string
	Action         string     // noun.verb, as "appointment.book"
	SubjectType    string     // of what it was done to, as "appointment"; may be empty, as after a list was denied
	SubjectID      uuid.UUID  // [uuid.Nil]: of no single one
	PatientID      *uuid.UUID // whose data it concerns
	Address        string     // of the connection, where it came by one
	Outcome        Outcome    // empty: [Done]
	Before, After  any        // what changed, or what else is to be known; become JSON objects; nil: nothing
	OccurredAt     time.Time
	GrantID        *uuid.UUID // under which the glass was broken
}

// By begins an event of the caller's: what remains to be said is what was done,
// to what, and when.
func By(c identity.Caller) Event {
	return Event{
		OrganizationID: c.OrganizationID, ActorID: c.UserID, RequestID: c.RequestID, Address: c.Address, GrantID: c.GrantID,
	}
}

// Fields are the After of a change to a person's data: which fields were
// changed, by their names in the API, without their values.
type Fields struct {
	Changed []string `json:"changed"`
}

type addressKey struct{}

// WithAddress returns a context that knows the address of the connection by which
// a request came: for those who are not signed in. Of callers the identity knows it.
func WithAddress(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, addressKey{}, address)
}

// Address returns the address of the connection by which the request came, "" where
// the context knows none.
func Address(ctx context.Context) string {
	address, _ := ctx.Value(addressKey{}).(string)
	return address
}

// Network returns the network of an address: an IPv6 address is its /64, because its holder can
// choose the rest freely. Anything else is returned unchanged.
func Network(address string) string {
	const ofOneHolder = 64
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return address
	}
	prefix, err := ip.Prefix(ofOneHolder)
	if err != nil {
		return address
	}
	return prefix.String()
}
