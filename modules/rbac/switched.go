package rbac

import (
	"context"

	"github.com/google/uuid"
)

// Switched has nobody let into a disabled organization, or everybody again into one
// that is enabled, if and when the transaction of the context commits: on this
// instance at once, on others when they hear of it. Access tokens and API keys are
// refused by what each instance has in memory; whatever is looked up (a password, a
// refresh token, an invitation, a key for the first time) is refused by the look-up.
// Nothing of users, sign-ins or keys is changed, so what has not expired meanwhile
// holds again once the organization is enabled. The version is the organization's:
// it rises with each switch.
func (s *Service) Switched(ctx context.Context, organization uuid.UUID, disabled bool, version int) error {
	return s.announce(ctx, organization, change{subject{ofOrganization, organization}, switchLevel(version, disabled), s.now()})
}

// out says why the user may not come in, as the audit trail tells it; "" where they may.
func (u User) out() string {
	switch {
	case u.Disabled:
		return "disabled"
	case u.organizationDisabled:
		return "organization-disabled"
	}
	return ""
}

// organizationOpen is the condition for what lets somebody into an organization: that is not
// disabled. Index: the primary key.
const organizationOpen = "NOT (SELECT o.disabled FROM organizations o WHERE o.id = organization_id)"
