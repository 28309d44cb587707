package revocation

import (
	"context"

	"github.com/google/uuid"
)

// OrganizationSwitched refuses all access to an organization that is disabled, or allows it again
// once it is enabled, if the transaction of the context commits. It takes effect immediately on this
// instance and a moment later on the others. Each instance refuses access tokens and API keys
// from memory. Passwords, refresh tokens, invitations and keys that are looked up are refused
// because the organization is read with them. Users, sign-ins and keys stay unchanged, so unexpired
// ones work again when the organization is enabled. The version is the organization's and rises
// with each change.
func (s *Service) OrganizationSwitched(ctx context.Context, organization uuid.UUID, disabled bool, version int) error {
	level := switchLevel(version, disabled)
	return s.announce(ctx, organization, change{subject{ofOrganization, organization}, level, s.clock.Now()})
}

// switchLevel returns the level of an organization that was disabled or enabled with the given
// version.
func switchLevel(version int, disabled bool) int64 {
	level := 2 * int64(version)
	if disabled {
		level++
	}
	return level
}
