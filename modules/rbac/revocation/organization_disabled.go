package revocation

import (
	"context"

	"github.com/google/uuid"
)

// SetOrganizationDisabled refuses all access to an organization that is disabled, or allows it again
// once it is enabled, if the transaction of the context commits. It takes effect immediately on this
// instance and a moment later on the others. Each instance refuses access tokens and API keys
// from memory. Passwords, refresh tokens, invitations and keys that are looked up are refused
// because the organization is read with them. Users, sign-ins and keys stay unchanged, so unexpired
// ones work again when the organization is enabled. The version is the organization's and rises
// with each change.
func (s *Service) SetOrganizationDisabled(ctx context.Context, organization uuid.UUID, disabled bool, version int) error {
	level := disabledLevel(version, disabled)
	return s.announce(ctx, organization, change{subject{ofOrganization, organization}, level, s.clock.Now()})
}

// disabledLevel returns the level of an organization that was disabled or enabled with the given
// version.
func disabledLevel(version int, disabled bool) int64 {
	level := 2 * int64(version)
	if disabled {
		level++
	}
	return level
}
