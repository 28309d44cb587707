// Package trail defines audit events: who changed and who read what. A module hands
// events over in the transaction of the change. They are stored only if it commits, are
// never changed, and are kept for the legal retention period.
package trail

import (
	"context"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// ErrNotRecorded is returned if an action could not be recorded. The action is then not
// carried out.
var ErrNotRecorded = fault.Define(fault.Unavailable, "not-recorded", "The access could not be recorded in the audit "+
	"trail, so the request was refused. Nothing has been changed; try again soon.").
	Advising("Wait for the time in `Retry-After`, and retry the same request.")

// Outcome is the outcome of an attempt.
type Outcome string

// The outcomes.
const (
	Done   Outcome = "done"
	Denied Outcome = "denied" // for lack of a permission or a correct password
)

// Event is an action of a user: a change, an access, or a denied attempt.
//
// Auditors read it after the record itself is gone. It holds ids, times, states,
// numbers and the names of fields. It holds no other personal data: no names, no notes,
// no member numbers.
type Event struct {
	// OrganizationID is [uuid.Nil] if the event concerns no organization, such as a sign-in with an unknown address. Such
	// denials are only counted.
	OrganizationID uuid.UUID
	ActorID        uuid.UUID // the actor; [uuid.Nil] if not signed in
	RequestID      string
	Action         string     // noun.verb, as "appointment.book"
	SubjectType    string     // type of the record, such as "appointment"; may be empty, as for a denied list
	SubjectID      uuid.UUID  // [uuid.Nil] if no single record is concerned
	PatientID      *uuid.UUID // patient whose data is concerned
	Records        []Subject  // the records that a read shows, without SubjectID and PatientID; duplicates count once
	Address        string     // client address, if there is a connection
	Outcome        Outcome    // empty: [Done]
	Before, After  any        // the changes or further data, encoded as JSON objects; may be nil
	OccurredAt     time.Time
	GrantID        *uuid.UUID // emergency access grant in use, if any
}

// Recorder stores audit events. Every module that changes or shows records gets one.
type Recorder interface {
	// Record stores the events if, and only if, the transaction of the context commits.
	Record(ctx context.Context, events []Event) error
	// Note stores events that change nothing, such as denials. It needs no transaction, and returns
	// after they are committed. The error is [ErrNotRecorded].
	Note(ctx context.Context, events []Event) error
}

// By returns an event with the caller's data. The caller of By sets action, subject and
// time.
func By(c identity.Caller) Event {
	return Event{
		OrganizationID: c.OrganizationID, ActorID: c.UserID, RequestID: c.RequestID, Address: c.Address, GrantID: c.GrantID,
	}
}

// RecordBy records an event as the act of the caller in the context. The given event has neither an
// organization nor an actor. The error is [identity.ErrUnauthenticated] without a caller.
func RecordBy(ctx context.Context, r Recorder, e Event) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	return r.Record(ctx, []Event{e.by(caller)})
}

// NoteBy is [RecordBy] for an event that changes nothing.
func NoteBy(ctx context.Context, r Recorder, e Event) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	return r.Note(ctx, []Event{e.by(caller)})
}

func (e Event) by(c identity.Caller) Event {
	e.OrganizationID, e.ActorID, e.RequestID, e.Address, e.GrantID = c.OrganizationID, c.UserID, c.RequestID,
		c.Address, c.GrantID
	return e
}

// Fields are the After of a change to personal data: the API names of the changed
// fields, without values.
type Fields struct {
	Changed []string `json:"changed"`
}

type addressKey struct{}

// WithAddress returns a context with the client address of the connection, for requests
// that are not signed in. For signed-in callers the identity has it.
func WithAddress(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, addressKey{}, address)
}

// Address returns the client address of the connection, or "" if the context has none.
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
