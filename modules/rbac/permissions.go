package rbac

import (
	"slices"

	"omnirapeutic/platform/identity"
)

// Every permission that there is. The modules that ask for one declare it as
// well; a test of the app checks that both agree.
const (
	organizationRead    identity.Permission = "organization:read"
	organizationReadAll identity.Permission = "organization:read-all"
	organizationCreate  identity.Permission = "organization:create"
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

	appointmentRead       identity.Permission = "appointment:read"
	appointmentBook       identity.Permission = "appointment:book"
	appointmentPreview    identity.Permission = "appointment:preview"
	appointmentReschedule identity.Permission = "appointment:reschedule"
	appointmentCancel     identity.Permission = "appointment:cancel"
	appointmentStart      identity.Permission = "appointment:start"
	appointmentComplete   identity.Permission = "appointment:complete"
	appointmentNoShow     identity.Permission = "appointment:no-show"

	availabilityRead   identity.Permission = "availability:read"
	availabilityChange identity.Permission = "availability:change"

	calendarManage identity.Permission = "calendar:manage"

	sessionRead   identity.Permission = "session:read"
	sessionChange identity.Permission = "session:change"

	reportRead       identity.Permission = "report:read"
	alertAcknowledge identity.Permission = "alert:acknowledge"

	webhookManage identity.Permission = "webhook:manage"

	auditRead   identity.Permission = "audit:read"
	auditExport identity.Permission = "audit:export"

	adminMetrics identity.Permission = "admin:metrics"
	adminConfig  identity.Permission = "admin:config"
)

// shipped says which roles hold a permission in an organization that has changed
// nothing. A patient holds none until there are grants for one's own records
// only; a super administrator sees no health data.
//
// docs/roles.md shows this table; a test fails when they differ.
var shipped = []struct {
	permission identity.Permission
	roles      []Role
}{
	{organizationRead, []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor, SuperAdmin}},
	{organizationReadAll, []Role{SuperAdmin}},
	{organizationCreate, []Role{SuperAdmin}},
	{organizationChange, []Role{Admin}},

	{patientRead, []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor}},
	{patientCreate, []Role{Admin, Scheduler}},
	{patientChange, []Role{Admin, Scheduler, Practitioner}},

	{practitionerRead, []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor}},
	{practitionerCreate, []Role{Admin}},
	{practitionerChange, []Role{Admin}},

	{payerRead, []Role{Admin, Scheduler, Practitioner, Biller, Auditor}},
	{payerCreate, []Role{Admin, Biller}},
	{payerChange, []Role{Admin, Biller}},

	{insuranceRead, []Role{Admin, Scheduler, Practitioner, Biller, Auditor}},
	{insuranceCreate, []Role{Admin, Biller}},
	{insuranceChange, []Role{Admin, Biller}},

	{serviceCodeRead, []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor}},
	{serviceCodeCreate, []Role{Admin, Biller}},
	{serviceCodeChange, []Role{Admin, Biller}},

	{authorizationRead, []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor}},
	{authorizationCreate, []Role{Admin, Biller}},
	{authorizationChange, []Role{Admin, Biller}},
	{authorizationAdjust, []Role{Admin}},
	{authorizationDelete, []Role{Admin, Biller}},
	{authorizationReserve, []Role{Admin, Scheduler, Practitioner}},
	{authorizationRelease, []Role{Admin, Scheduler, Practitioner}},
	{authorizationConsume, []Role{Admin, Practitioner}},
	{authorizationPreview, []Role{Admin, Scheduler, Practitioner}},
	{authorizationVerify, []Role{Admin, Auditor}},

	{appointmentRead, []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor}},
	{appointmentBook, []Role{Admin, Scheduler, Practitioner}},
	{appointmentPreview, []Role{Admin, Scheduler, Practitioner}},
	{appointmentReschedule, []Role{Admin, Scheduler, Practitioner}},
	{appointmentCancel, []Role{Admin, Scheduler, Practitioner}},
	{appointmentStart, []Role{Admin, Practitioner, Technician}},
	{appointmentComplete, []Role{Admin, Practitioner, Technician}},
	{appointmentNoShow, []Role{Admin, Scheduler, Practitioner, Technician}},

	{availabilityRead, []Role{Admin, Scheduler, Practitioner}},
	{availabilityChange, []Role{Admin, Scheduler, Practitioner}},

	{calendarManage, []Role{Admin, Scheduler, Practitioner}},

	{sessionRead, []Role{Admin, Practitioner, Technician, Biller, Auditor}},
	{sessionChange, []Role{Admin, Practitioner, Technician}},

	{reportRead, []Role{Admin, Scheduler, Practitioner, Biller, Auditor}},
	{alertAcknowledge, []Role{Admin, Scheduler, Practitioner, Biller}},

	{webhookManage, []Role{Admin}},

	{auditRead, []Role{Admin, Auditor}},
	{auditExport, []Role{Admin, Auditor}},

	{adminMetrics, []Role{Admin, Auditor}},
	{adminConfig, []Role{Admin}},
}

// Permissions returns every permission that there is, grouped by noun.
func Permissions() []identity.Permission {
	all := make([]identity.Permission, len(shipped))
	for i, row := range shipped {
		all[i] = row.permission
	}
	return all
}

// Permissions returns what the role may do in an organization that has changed
// nothing, in the order of [Permissions].
func (r Role) Permissions() []identity.Permission {
	var held []identity.Permission
	for _, row := range shipped {
		if slices.Contains(row.roles, r) {
			held = append(held, row.permission)
		}
	}
	return held
}
