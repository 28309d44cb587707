package rbac

import (
	"context"

	"github.com/google/uuid"
)

// Switched refuses all access to an organization that is disabled, or allows it again once it is
// enabled, if the transaction of the context commits. It takes effect immediately on this
// instance and a moment later on the others. Each instance refuses access tokens and API keys
// from memory. Passwords, refresh tokens, invitations and keys that are looked up are refused by
// the query. Users, sign-ins and keys stay unchanged, so unexpired ones work again when the
// organization is enabled. The version is the organization's and rises with each change.
func (s *Service) Switched(ctx context.Context, organization uuid.UUID, disabled bool, version int) error {
	return s.announce(ctx, organization, change{subject{ofOrganization, organization}, switchLevel(version, disabled), s.now()})
}

// out returns the reason for the audit trail why the user may not sign in; "": they may.
func (u User) out() string {
	switch {
	case u.Disabled:
		return "disabled"
	case u.organizationDisabled:
		return "organization-disabled"
	}
	return ""
}

// organizationOpen is the condition for rows of organizations that are not disabled. Index: the
// primary key.
const organizationOpen = "NOT (SELECT o.disabled FROM organizations o WHERE o.id = organization_id)"
