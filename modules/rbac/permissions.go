package rbac

import (
	"slices"

	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// grant lists the roles that hold a permission, for the whole organization or for some records.
type grant struct {
	permission identity.Permission
	roles      []Role                  // for all records of the organization
	limited    map[Role]identity.Scope // for the records of the scope
	people     string                  // why no API key can hold it; empty: a key can
}

// Reasons why a permission is for people only. A stolen key must not allow more access, nor leave
// anything behind after its revocation.
const (
	givesAccess = "it gives or removes access of others"
	outlives    = "its effects outlast the key's revocation"
	beyond      = "it applies beyond the organization of the key"
	decides     = "it requires the decision of a person"
)

// PeopleOnly returns why no API key can hold the permission; "": a key can.
func PeopleOnly(p identity.Permission) string {
	for _, row := range defaults {
		if row.permission == p {
			return row.people
		}
	}
	return ""
}

// of returns the scope in which the role holds the permission.
func (g grant) of(r Role) identity.Scope {
	if slices.Contains(g.roles, r) {
		return identity.Organization
	}
	return g.limited[r]
}

// Roles that hold a permission for some records only.
var (
	// Technicians see the patients on their caseload, and patients and guardians see their family:
	// the available units, without texts.
	caseloadAndFamily = map[Role]identity.Scope{Technician: identity.Caseload, Patient: identity.Child}
	// Technicians deliver appointments and document them.
	own = map[Role]identity.Scope{Technician: identity.Self}
	// Analysts correct the sessions of their patients, technicians their own sessions of the day.
	correctors = map[Role]identity.Scope{Practitioner: identity.Caseload, Technician: identity.Self}
	// Clinicians see and end their own emergency grants.
	takers       = map[Role]identity.Scope{Practitioner: identity.Self, Technician: identity.Self}
	ownAndFamily = map[Role]identity.Scope{Technician: identity.Self, Patient: identity.Child}
)

// defaults are the default roles of each permission. Behavior analysts hold their permissions for
// the whole organization: in a small practice they substitute for each other and plan for
// technicians with other caseloads. A larger practice can restrict them. Super administrators see
// no health data.
//
// docs/roles.md shows this table; a test fails when they differ.
var defaults = []grant{
	{
		permission: permission.OrganizationRead,
		roles:      []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor, SuperAdmin},
	},
	{permission: permission.OrganizationReadAll, roles: []Role{SuperAdmin}, people: beyond},
	{permission: permission.OrganizationCreate, roles: []Role{SuperAdmin}, people: beyond},
	{permission: permission.OrganizationDisable, roles: []Role{SuperAdmin}, people: beyond},
	{permission: permission.OrganizationChange, roles: []Role{Admin}, people: decides},

	{
		permission: permission.PatientRead,
		roles:      []Role{Admin, Scheduler, Practitioner, Biller, Auditor},
		limited:    caseloadAndFamily,
	},
	{permission: permission.PatientCreate, roles: []Role{Admin, Scheduler}},
	{permission: permission.PatientChange, roles: []Role{Admin, Scheduler, Practitioner}},

	{permission: permission.PractitionerRead, roles: []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor}},
	{permission: permission.PractitionerCreate, roles: []Role{Admin}},
	{permission: permission.PractitionerChange, roles: []Role{Admin}},

	{permission: permission.PayerRead, roles: []Role{Admin, Scheduler, Practitioner, Biller, Auditor}},
	{permission: permission.PayerCreate, roles: []Role{Admin, Biller}},
	{permission: permission.PayerChange, roles: []Role{Admin, Biller}},

	{permission: permission.InsuranceRead, roles: []Role{Admin, Scheduler, Practitioner, Biller, Auditor}},
	{permission: permission.InsuranceCreate, roles: []Role{Admin, Biller}},
	{permission: permission.InsuranceChange, roles: []Role{Admin, Biller}},

	{permission: permission.DiagnosisRead, roles: []Role{Admin, Practitioner, Biller}},
	{permission: permission.DiagnosisCreate, roles: []Role{Admin, Practitioner, Biller}},
	{permission: permission.DiagnosisChange, roles: []Role{Admin, Practitioner, Biller}},

	{permission: permission.ServiceCodeRead, roles: []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor}},
	{permission: permission.ServiceCodeCreate, roles: []Role{Admin, Biller}},
	{permission: permission.ServiceCodeChange, roles: []Role{Admin, Biller}},

	{permission: permission.LocationRead, roles: []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor}},
	{permission: permission.LocationCreate, roles: []Role{Admin, Scheduler}},
	{permission: permission.LocationChange, roles: []Role{Admin, Scheduler}},

	{
		permission: permission.CancellationReasonRead,
		roles:      []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor},
	},
	{permission: permission.CancellationReasonCreate, roles: []Role{Admin, Scheduler}},
	{permission: permission.CancellationReasonChange, roles: []Role{Admin, Scheduler}},

	{
		permission: permission.AuthorizationRead,
		roles:      []Role{Admin, Scheduler, Practitioner, Biller, Auditor},
		limited:    caseloadAndFamily,
	},
	{permission: permission.AuthorizationCreate, roles: []Role{Admin, Biller}},
	{permission: permission.AuthorizationChange, roles: []Role{Admin, Biller}},
	{permission: permission.AuthorizationAdjust, roles: []Role{Admin}},
	{permission: permission.AuthorizationDelete, roles: []Role{Admin, Biller}},
	{permission: permission.AuthorizationReserve, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: permission.AuthorizationRelease, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: permission.AuthorizationConsume, roles: []Role{Admin, Practitioner}},
	{permission: permission.AuthorizationPreview, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: permission.AuthorizationVerify, roles: []Role{Admin, Auditor}},
	{permission: permission.AuthorizationNotes, roles: []Role{Admin, Practitioner, Biller, Auditor}},

	{
		permission: permission.AppointmentRead,
		roles:      []Role{Admin, Scheduler, Practitioner, Biller, Auditor},
		limited:    ownAndFamily,
	},
	{permission: permission.AppointmentBook, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: permission.AppointmentPreview, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: permission.AppointmentReschedule, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: permission.AppointmentCancel, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: permission.AppointmentStart, roles: []Role{Admin, Practitioner}, limited: own},
	{permission: permission.AppointmentComplete, roles: []Role{Admin, Practitioner}, limited: own},
	{permission: permission.AppointmentNoShow, roles: []Role{Admin, Scheduler, Practitioner}, limited: own},
	{
		permission: permission.AppointmentNotes,
		roles:      []Role{Admin, Scheduler, Practitioner, Biller, Auditor},
		limited:    own,
	},

	{permission: permission.AvailabilityRead, roles: []Role{Admin, Scheduler, Practitioner}, limited: own},
	{permission: permission.AvailabilityChange, roles: []Role{Admin, Scheduler, Practitioner}},

	{permission: permission.CalendarManage, roles: []Role{Admin, Scheduler, Practitioner}, limited: own, people: outlives},

	{permission: permission.SessionRead, roles: []Role{Admin, Practitioner, Biller, Auditor}, limited: own},
	{permission: permission.SessionChange, roles: []Role{Admin, Practitioner}, limited: own},
	{permission: permission.SessionNarrative, roles: []Role{Admin, Practitioner, Auditor}, limited: own},
	{permission: permission.SessionCorrect, roles: []Role{Admin, Biller}, limited: correctors},
	{permission: permission.SessionVoid, roles: []Role{Admin, Biller}, limited: correctors},
	{permission: permission.SessionAcceptOverlap, roles: []Role{Admin, Practitioner, Biller}},

	{permission: permission.BillingRead, roles: []Role{Admin, Biller}},
	{permission: permission.BillingExport, roles: []Role{Admin, Biller}},

	{permission: permission.ReportRead, roles: []Role{Admin, Scheduler, Practitioner, Biller, Auditor}},
	{permission: permission.AlertAcknowledge, roles: []Role{Admin, Scheduler, Practitioner, Biller}},

	{permission: permission.EmergencyTake, roles: []Role{Admin, Practitioner, Technician}, people: decides},
	{permission: permission.EmergencyRead, roles: []Role{Admin, Auditor}, limited: takers},
	{permission: permission.EmergencyRevoke, roles: []Role{Admin}, limited: takers},
	{permission: permission.EmergencyReview, roles: []Role{Admin}, people: decides},

	{permission: permission.WebhookManage, roles: []Role{Admin}, people: outlives},

	{permission: permission.UserRead, roles: []Role{Admin, Auditor}},
	{permission: permission.UserChange, roles: []Role{Admin}, people: givesAccess},
	{permission: permission.UserGrant, roles: []Role{Admin}, people: givesAccess},
	{permission: permission.UserInvite, roles: []Role{Admin}, people: givesAccess},

	{permission: permission.PermissionSetRead, roles: []Role{Admin, Auditor}},
	{permission: permission.PermissionSetChange, roles: []Role{Admin}, people: givesAccess},

	{permission: permission.APIKeyManage, roles: []Role{Admin}, people: givesAccess},

	{permission: permission.IdentityProviderManage, roles: []Role{Admin}, people: givesAccess},
	{permission: permission.SignInPolicyManage, roles: []Role{Admin}, people: givesAccess},

	{permission: permission.CaseloadRead, roles: []Role{Admin, Scheduler, Practitioner, Auditor}},
	{permission: permission.CaseloadChange, roles: []Role{Admin}, people: givesAccess},
	{permission: permission.GuardianRead, roles: []Role{Admin, Auditor}},
	{permission: permission.GuardianChange, roles: []Role{Admin}, people: givesAccess},

	{permission: permission.AuditRead, roles: []Role{Admin, Auditor}},
	{permission: permission.AuditExport, roles: []Role{Admin, Auditor}},
	{permission: permission.AnonymousAttemptRead, roles: []Role{SuperAdmin}, people: beyond},

	{permission: permission.AdminMetrics, roles: []Role{Admin, Auditor}},
	{permission: permission.AdminConfig, roles: []Role{Admin}},
}

// Permissions returns every permission, grouped by noun.
func Permissions() []identity.Permission {
	all := make([]identity.Permission, len(defaults))
	for i, row := range defaults {
		all[i] = row.permission
	}
	return all
}

// Permissions returns the default permissions of the role, in the order of [Permissions].
func (r Role) Permissions() []identity.Permission {
	var all []identity.Permission
	for _, row := range defaults {
		if row.of(r) != 0 {
			all = append(all, row.permission)
		}
	}
	return all
}

// Scope returns the default scope in which the role holds the permission.
func (r Role) Scope(p identity.Permission) identity.Scope {
	for _, row := range defaults {
		if row.permission == p {
			return row.of(r)
		}
	}
	return 0
}

// Defaults returns the default permissions of the role with their scopes.
func (r Role) Defaults() Held {
	set := Held{}
	for _, row := range defaults {
		if scope := row.of(r); scope != 0 {
			set[row.permission] = scope
		}
	}
	return set
}
