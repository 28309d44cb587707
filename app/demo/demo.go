// Package demo fills an empty database with a practice for trials: staff, patients,
// payers, service codes, authorizations in every state, and a timetable of nine weeks
// with its history.
package demo

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/billing"
	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/access"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// Password is the password of all users of the demo practice.
const Password = "Omni-Demo-Practice-2026" //nolint:gosec // published, and refused in production

const practiceZone = "America/New_York"

// people are the users of the demo practice. Guests belong to the other practice.
var (
	people = []user.NewUser{
		{Email: "admin@demo.test", Name: "Alma Admin", Roles: []rbac.Role{rbac.Admin}},
		{Email: "scheduler@demo.test", Name: "Sam Scheduler", Roles: []rbac.Role{rbac.Scheduler}},
		{Email: "bcba@demo.test", Name: "Bea Analyst", Roles: []rbac.Role{rbac.Practitioner}},
		{Email: "rbt@demo.test", Name: "Tom Technician", Roles: []rbac.Role{rbac.Technician}},
		{Email: "billing@demo.test", Name: "Bill Biller", Roles: []rbac.Role{rbac.Biller}},
		{Email: "auditor@demo.test", Name: "Ada Auditor", Roles: []rbac.Role{rbac.Auditor}},
		{Email: "parent@demo.test", Name: "Pat Parent", Roles: []rbac.Role{rbac.Patient}},
	}
	guests = []user.NewUser{
		{Email: "admin@other.test", Name: "Olga Other", Roles: []rbac.Role{rbac.Admin}},
	}
)

// Emails returns the email addresses of the demo users.
func Emails() []string {
	var emails []string
	for _, u := range append(people, guests...) {
		emails = append(emails, u.Email)
	}
	return emails
}

// Practice provides the services to load the demo practice.
type Practice struct {
	Database  *db.DB
	Commands  *command.Engine
	Directory *directory.Service
	Access    *access.Access
	Events    *events.Service
	Audit     trail.Recorder
	// Appointments returns the service with the given current time.
	Appointments func(at time.Time) *appointments.Service
	// Billing returns the service with the given current time.
	Billing func(at time.Time) *billing.Service
	NewID   func() uuid.UUID
	Now     time.Time // the end of the history
	Logger  logrus.FieldLogger
}

// Load fills the database if it has no users, in one transaction, and reports whether
// it did.
func Load(ctx context.Context, p Practice) (bool, error) {
	if exists, err := p.Access.Accounts.HasUsers(ctx); err != nil || exists {
		return false, err
	}
	p.Logger.WithField("event", "demo_loading").Info("loading the demo practice, which takes a few seconds")
	_, err := db.Serializable(ctx, p.Database.WithLinks(user.Links()), "demo.load", func(ctx context.Context) (struct{}, error) {
		own, err := p.organization(ctx, "Demo Practice", practiceZone, people)
		if err != nil {
			return struct{}{}, err
		}
		if _, err := p.Directory.ReplaceServicePairs(own, directory.ServicePairsChange{Pairs: pairs}); err != nil {
			return struct{}{}, err
		}
		if err := p.history(own); err != nil {
			return struct{}{}, err
		}
		other, err := p.organization(ctx, "Other Practice", "America/Chicago", guests)
		if err != nil {
			return struct{}{}, err
		}
		_, err = p.Directory.CreatePatient(other, directory.NewPatient{
			FirstName: "Otto", LastName: "Elsewhere", DateOfBirth: calendar.NewDate(2018, time.May, 2),
		})
		return struct{}{}, err
	}, db.AllOrganizations())
	if err != nil {
		return false, err
	}
	p.Logger.WithField("event", "demo_loaded").Info("the demo practice is loaded")
	return true, nil
}

// organization creates an organization with its users and service codes, and returns a
// context that acts in it.
func (p Practice) organization(ctx context.Context, name, zone string, users []user.NewUser) (context.Context, error) {
	o, err := p.Directory.CreateOrganization(ctx, directory.NewOrganization{Name: name, TimeZone: zone})
	if err != nil {
		return nil, err
	}
	own := identity.With(ctx, identity.Caller{UserID: identity.SystemUser, OrganizationID: o.ID, RequestID: "demo"})
	for _, u := range users {
		u.Password = Password
		if _, err := p.Access.Users.Create(own, o.ID, u); err != nil {
			return nil, err
		}
	}
	for _, c := range serviceCodes {
		if _, err := p.Directory.CreateServiceCode(own, c); err != nil {
			return nil, err
		}
	}
	for _, l := range locations {
		if _, err := p.Directory.CreateLocation(own, l); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// locations are the places at which the demo practice renders services.
var locations = []directory.NewLocation{
	{Name: "Clinic", Kind: directory.Clinic},
	{Name: "Homes of patients", Kind: directory.Home},
	{Name: "School", Kind: directory.School},
}

// serviceCodes are the ABA codes. The labels are our own, because the official
// descriptors belong to the AMA. Any of the credentials may render the service.
var serviceCodes = []directory.NewServiceCode{
	{Code: "97151", Description: "Behavior identification assessment", RequiredCredentials: []string{"BCBA", "BCaBA"}},
	{
		Code:                "97152",
		Description:         "Supporting assessment by a technician",
		RequiredCredentials: []string{"RBT", "BCaBA", "BCBA"},
	},
	{
		Code:                "97153",
		Description:         "Treatment by protocol, one patient",
		RequiredCredentials: []string{"RBT", "BCaBA", "BCBA"},
	},
	{Code: "97154", Description: "Treatment by protocol, group", RequiredCredentials: []string{"RBT", "BCaBA", "BCBA"}},
	{Code: "97155", Description: "Treatment with protocol modification", RequiredCredentials: []string{"BCBA", "BCaBA"}},
	{Code: "97156", Description: "Family guidance, one family", RequiredCredentials: []string{"BCBA", "BCaBA"}},
	{Code: "97157", Description: "Family guidance, several families", RequiredCredentials: []string{"BCBA", "BCaBA"}},
	{
		Code:                "97158",
		Description:         "Group treatment with protocol modification",
		RequiredCredentials: []string{"BCBA", "BCaBA"},
	},
	{
		Code:                "0362T",
		Description:         "Supporting assessment, severe behavior, several technicians",
		RequiredCredentials: []string{"BCBA"},
	},
	{Code: "0373T", Description: "Treatment, severe behavior, several technicians", RequiredCredentials: []string{"BCBA"}},
}

// pairs are the services that may overlap in the demo practice: an analyst changes the
// protocol or guides the family while a technician treats.
var pairs = []directory.ServicePairBody{{Code: "97153", OtherCode: "97155"}, {Code: "97153", OtherCode: "97156"}}

// ledger returns the authorization service with the given current time.
func (p Practice) ledger(at time.Time) *authorization.Service {
	return authorization.New(authorization.Dependencies{
		Database:  p.Database,
		Engine:    p.Commands,
		Directory: p.Directory,
		Events:    p.Events,
		Audit:     p.Audit,
		NewID:     p.NewID,
		Logger:    p.Logger,
		Clock:     func() time.Time { return at },
	})
}

// codes returns the ids of the organization's service codes.
func (p Practice) codes(own context.Context) (map[string]uuid.UUID, error) {
	found, err := p.Directory.ServiceCodes(own,
		directory.ServiceCodeFilter{Page: directory.Page{Limit: len(serviceCodes)}})
	byCode := make(map[string]uuid.UUID, len(found))
	for _, c := range found {
		byCode[c.Code] = c.ID
	}
	if err == nil && len(byCode) != len(serviceCodes) {
		err = errors.New("demo: some service codes are missing")
	}
	return byCode, err
}

// administrator returns a context that may adjust totals.
func administrator(own context.Context) context.Context {
	caller, err := identity.From(own)
	if err != nil {
		panic(err) // organization has added the caller
	}
	caller.Permissions = map[identity.Permission]identity.Scope{permission.AuthorizationAdjust: identity.Organization}
	return identity.With(own, caller)
}
