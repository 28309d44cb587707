package demo

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/emergency"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/apikey"
	"omnirapeutic/modules/rbac/invitation"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// administration creates an administrator's records: an API key, two disabled webhooks,
// an open invitation, a calendar feed and two emergency access grants.
func (p Practice) administration(own context.Context, staff map[string]uuid.UUID, patients []coverage) error {
	admin, err := p.as(own, rbac.Admin)
	if err != nil {
		return err
	}
	if _, _, err := p.Access.APIKeys.Create(admin, apikey.NewKey{
		Name: "Billing system", Permissions: []identity.Permission{permission.AuthorizationRead},
	}); err != nil {
		return err
	}
	for _, url := range []string{"https://hooks.example.org/units", "https://hooks.example.org/former"} {
		if _, err := p.Events.CreateWebhook(admin, events.NewWebhook{
			URL: url, Types: []string{authorization.EventBalance}, Active: new(false),
		}); err != nil {
			return err
		}
	}
	if _, err := p.Access.Invitations.Invite(admin, invitation.Invitee{
		Email: "newcomer@demo.test", Name: "Nia Newcomer", Roles: []rbac.Role{rbac.Technician},
	}); err != nil {
		return err
	}
	if _, _, err := p.Appointments(p.Now).CreateFeed(admin, new(staff["Tom"]), nil); err != nil {
		return err
	}
	return p.emergencies(own, patients[2].patient)
}

// emergencies creates two emergency access grants for a patient outside the technician's
// caseload: one has ended, the other one is open.
func (p Practice) emergencies(own context.Context, patient uuid.UUID) error {
	technician, err := p.as(own, rbac.Technician)
	if err != nil {
		return err
	}
	for _, at := range []time.Time{p.Now.AddDate(0, 0, -1), p.Now} {
		service := emergency.New(emergency.Dependencies{
			Database: p.Database, Events: p.Events, Audit: p.Audit, NewID: p.NewID, Clock: func() time.Time { return at },
		})
		if _, err := service.Take(technician, emergency.NewGrant{
			PatientID: patient,
			Reason:    "The technician who treats Casey is ill, and the visit is about to begin.",
			Duration:  emergency.MaxDuration,
		}); err != nil {
			return err
		}
	}
	return nil
}
