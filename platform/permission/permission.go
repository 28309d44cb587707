// Package permission names every permission of the program, each once. Modules require them, and
// package rbac grants them to roles.
package permission

import "omnirapeutic/platform/identity"

// All permissions, grouped by noun.
const (
	OrganizationRead identity.Permission = "organization:read"
	// every organization, not only the caller's; in addition to organization:read
	OrganizationReadAll identity.Permission = "organization:read-all"
	OrganizationCreate  identity.Permission = "organization:create"
	OrganizationDisable identity.Permission = "organization:disable" // any organization but the caller's own
	OrganizationChange  identity.Permission = "organization:change"

	PatientRead   identity.Permission = "patient:read"
	PatientCreate identity.Permission = "patient:create"
	PatientChange identity.Permission = "patient:change"

	PractitionerRead   identity.Permission = "practitioner:read"
	PractitionerCreate identity.Permission = "practitioner:create"
	PractitionerChange identity.Permission = "practitioner:change"

	PayerRead   identity.Permission = "payer:read"
	PayerCreate identity.Permission = "payer:create"
	PayerChange identity.Permission = "payer:change"

	InsuranceRead   identity.Permission = "insurance:read"
	InsuranceCreate identity.Permission = "insurance:create"
	InsuranceChange identity.Permission = "insurance:change"

	DiagnosisRead   identity.Permission = "diagnosis:read"
	DiagnosisCreate identity.Permission = "diagnosis:create"
	DiagnosisChange identity.Permission = "diagnosis:change"

	ServiceCodeRead   identity.Permission = "service-code:read"
	ServiceCodeCreate identity.Permission = "service-code:create"
	ServiceCodeChange identity.Permission = "service-code:change"

	LocationRead   identity.Permission = "location:read"
	LocationCreate identity.Permission = "location:create"
	LocationChange identity.Permission = "location:change"

	CancellationReasonRead   identity.Permission = "cancellation-reason:read"
	CancellationReasonCreate identity.Permission = "cancellation-reason:create"
	CancellationReasonChange identity.Permission = "cancellation-reason:change"

	AuthorizationRead    identity.Permission = "authorization:read"
	AuthorizationCreate  identity.Permission = "authorization:create"
	AuthorizationChange  identity.Permission = "authorization:change"
	AuthorizationAdjust  identity.Permission = "authorization:adjust" // change the total of units
	AuthorizationDelete  identity.Permission = "authorization:delete"
	AuthorizationReserve identity.Permission = "authorization:reserve"
	AuthorizationRelease identity.Permission = "authorization:release"
	AuthorizationConsume identity.Permission = "authorization:consume"
	AuthorizationPreview identity.Permission = "authorization:preview"
	AuthorizationVerify  identity.Permission = "authorization:verify"
	AuthorizationNotes   identity.Permission = "authorization:read-notes"

	AppointmentRead       identity.Permission = "appointment:read"
	AppointmentBook       identity.Permission = "appointment:book"
	AppointmentPreview    identity.Permission = "appointment:preview"
	AppointmentReschedule identity.Permission = "appointment:reschedule"
	AppointmentCancel     identity.Permission = "appointment:cancel"
	AppointmentStart      identity.Permission = "appointment:start"
	AppointmentComplete   identity.Permission = "appointment:complete"
	AppointmentNoShow     identity.Permission = "appointment:no-show"
	AppointmentNotes      identity.Permission = "appointment:read-notes"

	AvailabilityRead   identity.Permission = "availability:read"
	AvailabilityChange identity.Permission = "availability:change"

	CalendarManage identity.Permission = "calendar:manage"

	SessionRead      identity.Permission = "session:read"
	SessionChange    identity.Permission = "session:change"
	SessionNarrative identity.Permission = "session:read-narrative"
	SessionCorrect   identity.Permission = "session:correct"
	SessionVoid      identity.Permission = "session:void"

	BillingRead   identity.Permission = "billing:read"
	BillingExport identity.Permission = "billing:export" // also retract exports, and enter control numbers

	SessionAcceptOverlap identity.Permission = "session:accept-overlap"

	ReportRead       identity.Permission = "report:read"
	AlertAcknowledge identity.Permission = "alert:acknowledge"

	EmergencyTake   identity.Permission = "emergency:take"
	EmergencyRead   identity.Permission = "emergency:read"
	EmergencyRevoke identity.Permission = "emergency:revoke"
	EmergencyReview identity.Permission = "emergency:review"

	WebhookManage identity.Permission = "webhook:manage"

	UserRead   identity.Permission = "user:read"
	UserChange identity.Permission = "user:change"
	UserGrant  identity.Permission = "user:grant"
	UserInvite identity.Permission = "user:invite"

	PermissionSetRead   identity.Permission = "permission-set:read"
	PermissionSetChange identity.Permission = "permission-set:change"

	APIKeyManage identity.Permission = "api-key:manage"

	IdentityProviderManage identity.Permission = "identity-provider:manage"
	SignInPolicyManage     identity.Permission = "sign-in-policy:manage"

	CaseloadRead   identity.Permission = "caseload:read"
	CaseloadChange identity.Permission = "caseload:change"
	GuardianRead   identity.Permission = "guardian:read"
	GuardianChange identity.Permission = "guardian:change"

	AuditRead   identity.Permission = "audit:read"
	AuditExport identity.Permission = "audit:export"

	AnonymousAttemptRead identity.Permission = "anonymous-attempt:read"

	AdminMetrics identity.Permission = "admin:metrics"
	AdminConfig  identity.Permission = "admin:config"
)
