package rbac

import (
	"slices"

	"omnirapeutic/platform/identity"
)

// All permissions. The modules that require one declare it as well; a test of package app
// compares them.
const (
	organizationRead    identity.Permission = "organization:read"
	organizationReadAll identity.Permission = "organization:read-all"
	organizationCreate  identity.Permission = "organization:create"
	organizationDisable identity.Permission = "organization:disable"
	organizationChange  identity.Permission = "organization:change"

	patientRead   identity.Permission = "patient:read"
	patientCreate identity.Permission = "patient:create"
	patientChange identity.Permission = "patient:change"

	practitionerRead   identity.Permission = "practitioner:read"
	practitionerCreate identity.Permission = "practitioner:create"
	practitionerChange identity.Permission = "practitioner:change"

	payerRead   identity.Permission = "payer:read"
	payerCreate identity.Permission = "payer:create"
	payerChange identity.Permission = "payer:change"

	insuranceRead   identity.Permission = "insurance:read"
	insuranceCreate identity.Permission = "insurance:create"
	insuranceChange identity.Permission = "insurance:change"

	serviceCodeRead   identity.Permission = "service-code:read"
	serviceCodeCreate identity.Permission = "service-code:create"
	serviceCodeChange identity.Permission = "service-code:change"

	authorizationRead    identity.Permission = "authorization:read"
	authorizationCreate  identity.Permission = "authorization:create"
	authorizationChange  identity.Permission = "authorization:change"
	authorizationAdjust  identity.Permission = "authorization:adjust"
	authorizationDelete  identity.Permission = "authorization:delete"
	authorizationReserve identity.Permission = "authorization:reserve"
	authorizationRelease identity.Permission = "authorization:release"
	authorizationConsume identity.Permission = "authorization:consume"
	authorizationPreview identity.Permission = "authorization:preview"
	authorizationVerify  identity.Permission = "authorization:verify"
	authorizationNotes   identity.Permission = "authorization:read-notes"

	appointmentRead       identity.Permission = "appointment:read"
	appointmentBook       identity.Permission = "appointment:book"
	appointmentPreview    identity.Permission = "appointment:preview"
	appointmentReschedule identity.Permission = "appointment:reschedule"
	appointmentCancel     identity.Permission = "appointment:cancel"
	appointmentStart      identity.Permission = "appointment:start"
	appointmentComplete   identity.Permission = "appointment:complete"
	appointmentNoShow     identity.Permission = "appointment:no-show"
	appointmentNotes      identity.Permission = "appointment:read-notes"

	availabilityRead   identity.Permission = "availability:read"
	availabilityChange identity.Permission = "availability:change"

	calendarManage identity.Permission = "calendar:manage"

	sessionRead      identity.Permission = "session:read"
	sessionChange    identity.Permission = "session:change"
	sessionNarrative identity.Permission = "session:read-narrative"

	reportRead       identity.Permission = "report:read"
	alertAcknowledge identity.Permission = "alert:acknowledge"

	emergencyTake   identity.Permission = "emergency:take"
	emergencyRead   identity.Permission = "emergency:read"
	emergencyRevoke identity.Permission = "emergency:revoke"
	emergencyReview identity.Permission = "emergency:review"

	webhookManage identity.Permission = "webhook:manage"

	userRead   identity.Permission = "user:read"
	userChange identity.Permission = "user:change"
	userGrant  identity.Permission = "user:grant"
	userInvite identity.Permission = "user:invite"

	permissionSetRead   identity.Permission = "permission-set:read"
	permissionSetChange identity.Permission = "permission-set:change"

	apiKeyManage identity.Permission = "api-key:manage"

	identityProviderManage identity.Permission = "identity-provider:manage"
	signInPolicyManage     identity.Permission = "sign-in-policy:manage"

	caseloadRead   identity.Permission = "caseload:read"
	caseloadChange identity.Permission = "caseload:change"
	guardianRead   identity.Permission = "guardian:read"
	guardianChange identity.Permission = "guardian:change"

	auditRead   identity.Permission = "audit:read"
	auditExport identity.Permission = "audit:export"

	anonymousAttemptRead identity.Permission = "anonymous-attempt:read"

	adminMetrics identity.Permission = "admin:metrics"
	adminConfig  identity.Permission = "admin:config"
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

// forPeople returns the reason why no API key can hold the permission; "": a key can.
func forPeople(p identity.Permission) string {
	for _, row := range shipped {
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
	// Clinicians see and end their own emergency grants.
	takers       = map[Role]identity.Scope{Practitioner: identity.Self, Technician: identity.Self}
	ownAndFamily = map[Role]identity.Scope{Technician: identity.Self, Patient: identity.Child}
)

// shipped are the default roles of each permission. Behavior analysts hold their permissions for
// the whole organization: in a small practice they substitute for each other and plan for
// technicians with other caseloads. A larger practice can restrict them. Super administrators see
// no health data.
//
// docs/roles.md shows this table; a test fails when they differ.
var shipped = []grant{
	{permission: organizationRead, roles: []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor, SuperAdmin}},
	{permission: organizationReadAll, roles: []Role{SuperAdmin}, people: beyond},
	{permission: organizationCreate, roles: []Role{SuperAdmin}, people: beyond},
	{permission: organizationDisable, roles: []Role{SuperAdmin}, people: beyond},
	{permission: organizationChange, roles: []Role{Admin}, people: decides},

	{permission: patientRead, roles: []Role{Admin, Scheduler, Practitioner, Biller, Auditor}, limited: caseloadAndFamily},
	{permission: patientCreate, roles: []Role{Admin, Scheduler}},
	{permission: patientChange, roles: []Role{Admin, Scheduler, Practitioner}},

	{permission: practitionerRead, roles: []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor}},
	{permission: practitionerCreate, roles: []Role{Admin}},
	{permission: practitionerChange, roles: []Role{Admin}},

	{permission: payerRead, roles: []Role{Admin, Scheduler, Practitioner, Biller, Auditor}},
	{permission: payerCreate, roles: []Role{Admin, Biller}},
	{permission: payerChange, roles: []Role{Admin, Biller}},

	{permission: insuranceRead, roles: []Role{Admin, Scheduler, Practitioner, Biller, Auditor}},
	{permission: insuranceCreate, roles: []Role{Admin, Biller}},
	{permission: insuranceChange, roles: []Role{Admin, Biller}},

	{permission: serviceCodeRead, roles: []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor}},
	{permission: serviceCodeCreate, roles: []Role{Admin, Biller}},
	{permission: serviceCodeChange, roles: []Role{Admin, Biller}},

	{permission: authorizationRead, roles: []Role{Admin, Scheduler, Practitioner, Biller, Auditor}, limited: caseloadAndFamily},
	{permission: authorizationCreate, roles: []Role{Admin, Biller}},
	{permission: authorizationChange, roles: []Role{Admin, Biller}},
	{permission: authorizationAdjust, roles: []Role{Admin}},
	{permission: authorizationDelete, roles: []Role{Admin, Biller}},
	{permission: authorizationReserve, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: authorizationRelease, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: authorizationConsume, roles: []Role{Admin, Practitioner}},
	{permission: authorizationPreview, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: authorizationVerify, roles: []Role{Admin, Auditor}},
	{permission: authorizationNotes, roles: []Role{Admin, Practitioner, Biller, Auditor}},

	{permission: appointmentRead, roles: []Role{Admin, Scheduler, Practitioner, Biller, Auditor}, limited: ownAndFamily},
	{permission: appointmentBook, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: appointmentPreview, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: appointmentReschedule, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: appointmentCancel, roles: []Role{Admin, Scheduler, Practitioner}},
	{permission: appointmentStart, roles: []Role{Admin, Practitioner}, limited: own},
	{permission: appointmentComplete, roles: []Role{Admin, Practitioner}, limited: own},
	{permission: appointmentNoShow, roles: []Role{Admin, Scheduler, Practitioner}, limited: own},
	{permission: appointmentNotes, roles: []Role{Admin, Scheduler, Practitioner, Biller, Auditor}, limited: own},

	{permission: availabilityRead, roles: []Role{Admin, Scheduler, Practitioner}, limited: own},
	{permission: availabilityChange, roles: []Role{Admin, Scheduler, Practitioner}},

	{permission: calendarManage, roles: []Role{Admin, Scheduler, Practitioner}, limited: own, people: outlives},

	{permission: sessionRead, roles: []Role{Admin, Practitioner, Biller, Auditor}, limited: own},
	{permission: sessionChange, roles: []Role{Admin, Practitioner}, limited: own},
	{permission: sessionNarrative, roles: []Role{Admin, Practitioner, Auditor}, limited: own},

	{permission: reportRead, roles: []Role{Admin, Scheduler, Practitioner, Biller, Auditor}},
	{permission: alertAcknowledge, roles: []Role{Admin, Scheduler, Practitioner, Biller}},

	{permission: emergencyTake, roles: []Role{Admin, Practitioner, Technician}, people: decides},
	{permission: emergencyRead, roles: []Role{Admin, Auditor}, limited: takers},
	{permission: emergencyRevoke, roles: []Role{Admin}, limited: takers},
	{permission: emergencyReview, roles: []Role{Admin}, people: decides},

	{permission: webhookManage, roles: []Role{Admin}, people: outlives},

	{permission: userRead, roles: []Role{Admin, Auditor}},
	{permission: userChange, roles: []Role{Admin}, people: givesAccess},
	{permission: userGrant, roles: []Role{Admin}, people: givesAccess},
	{permission: userInvite, roles: []Role{Admin}, people: givesAccess},

	{permission: permissionSetRead, roles: []Role{Admin, Auditor}},
	{permission: permissionSetChange, roles: []Role{Admin}, people: givesAccess},

	{permission: apiKeyManage, roles: []Role{Admin}, people: givesAccess},

	{permission: identityProviderManage, roles: []Role{Admin}, people: givesAccess},
	{permission: signInPolicyManage, roles: []Role{Admin}, people: givesAccess},

	{permission: caseloadRead, roles: []Role{Admin, Scheduler, Practitioner, Auditor}},
	{permission: caseloadChange, roles: []Role{Admin}, people: givesAccess},
	{permission: guardianRead, roles: []Role{Admin, Auditor}},
	{permission: guardianChange, roles: []Role{Admin}, people: givesAccess},

	{permission: auditRead, roles: []Role{Admin, Auditor}},
	{permission: auditExport, roles: []Role{Admin, Auditor}},
	{permission: anonymousAttemptRead, roles: []Role{SuperAdmin}, people: beyond},

	{permission: adminMetrics, roles: []Role{Admin, Auditor}},
	{permission: adminConfig, roles: []Role{Admin}},
}

// Permissions returns every permission, grouped by noun.
func Permissions() []identity.Permission {
	all := make([]identity.Permission, len(shipped))
	for i, row := range shipped {
		all[i] = row.permission
	}
	return all
}

// Permissions returns the default permissions of the role, in the order of [Permissions].
func (r Role) Permissions() []identity.Permission {
	var held []identity.Permission
	for _, row := range shipped {
		if row.of(r) != 0 {
			held = append(held, row.permission)
		}
	}
	return held
}

// Scope returns the default scope in which the role holds the permission.
func (r Role) Scope(p identity.Permission) identity.Scope {
	for _, row := range shipped {
		if row.permission == p {
			return row.of(r)
		}
	}
	return 0
}
