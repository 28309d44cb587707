package rbac

import (
	"context"
	"time"
)

// Revoke is what use cases call in the transaction of a change.
func Revoke(ctx context.Context, s *Service, u User) error {
	_, err := s.revoke(ctx, u.OrganizationID, u.ID)
	return err
}

// CodeAt is what an app with the secret, as people type it, shows at a moment.
func CodeAt(secret string, at time.Time) string {
	raw, err := base32Text.DecodeString(secret)
	if err != nil {
		panic(err)
	}
	return totpSecret(raw).code(stepAt(at), codeDigits)
}
