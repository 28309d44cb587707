package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/identity"
)

// Examples are values of the loaded demo practice. Requests that use them, as shown in
// the API's document, succeed.
type Examples struct {
	IDs      map[string]any     // values of path parameters, by the path before them: "/patients"
	Fields   map[string]any     // values of parameters and body members, by name: "patientId"
	Requests map[string]Request // additional values of single operations, by operation id
}

// Request holds the values of one operation's example.
type Request struct {
	Parameters map[string]any // by name
	Body       map[string]any // members of the first example
}

// Introduction is the text on examples in the API's document.
func Introduction() string {
	return fmt.Sprintf("The demo practice is loaded. The examples sign in as `%s` and use its records and free times, "+
		"so most requests succeed as they are shown. Reload the page after a minute for new ones.", people[0].Email)
}

// exampleSeries is the rule of the series that examples book.
const exampleSeries = "FREQ=WEEKLY;COUNT=3"

// Examples picks the oldest suitable records, so that the choice remains stable. Values
// that it does not find are omitted. It returns nil if the demo practice is not loaded or
// its administrator cannot sign in.
func (p Practice) Examples(ctx context.Context) (*Examples, error) {
	accounts, err := p.Access.Accounts.SignIns(ctx, []string{people[0].Email})
	if err != nil || len(accounts) == 0 {
		return nil, err
	}
	admin := accounts[0]
	f := &finder{
		Practice: p, ctx: identity.With(ctx, identity.Caller{UserID: admin.UserID, OrganizationID: admin.OrganizationID}),
		Examples: Examples{IDs: map[string]any{}, Fields: map[string]any{}, Requests: map[string]Request{}},
	}
	f.id("/organizations", "organizationId", admin.OrganizationID)
	f.id("/auth/oidc", "", admin.OrganizationID)
	for _, find := range []func() error{
		f.findClock, f.findDirectory, f.findClaimData, f.findUsers, f.findAdministration,
		f.findUnits, f.findTransfer, f.findAppointments, f.findSessions, f.findOpenings, f.findExports,
	} {
		if err := find(); err != nil {
			return nil, err
		}
	}
	f.fixed()
	return &f.Examples, nil
}

// finder collects examples.
type finder struct {
	Practice
	Examples
	ctx   context.Context
	zone  *time.Location
	today calendar.Date

	patients     []directory.Patient
	practitioner uuid.UUID // the technician who can sign in
	code         uuid.UUID // 97153
	booking      appointments.Booking
	scheduled    []appointments.Appointment // the practitioner's next ones
}

// id stores the id of a collection's first item.
func (f *finder) id(path, field string, id uuid.UUID) {
	if id == uuid.Nil {
		return
	}
	f.IDs[path] = id.String()
	if field != "" {
		f.Fields[field] = id.String()
	}
}

// parameter sets a parameter of one operation.
func (f *finder) parameter(operation, name string, value any) {
	r := f.Requests[operation]
	if r.Parameters == nil {
		r.Parameters = map[string]any{}
	}
	r.Parameters[name] = value
	f.Requests[operation] = r
}

// body sets members of the first example of an operation.
func (f *finder) body(operation string, members map[string]any) {
	r := f.Requests[operation]
	r.Body = members
	f.Requests[operation] = r
}

func (f *finder) findClock() error {
	caller, err := identity.From(f.ctx)
	if err != nil {
		return err
	}
	if f.zone, err = f.Directory.TimeZone(f.ctx, caller.OrganizationID); err != nil {
		return err
	}
	f.today = calendar.DateIn(f.Now, f.zone)
	return nil
}

// fixed adds values that depend only on the demo's constants.
func (f *finder) fixed() {
	f.body("signIn", map[string]any{"email": people[0].Email, "password": Password})
	f.body("changeMyPassword", map[string]any{"currentPassword": Password, "newPassword": Password})
	f.body("beginMySecondFactor", map[string]any{"password": Password})
	f.body("searchPatients", map[string]any{"lastName": "sam"})
	f.body("createServiceCode", map[string]any{"code": "H2019", "description": "Therapeutic behavioral services"})
	f.body("setSignInPolicy", map[string]any{"secondFactorRequired": false}) // true would lock the user of the example out
}
