package rbac

import "context"

// Revoke is what use cases call in the transaction of a change.
func Revoke(ctx context.Context, s *Service, u User) error {
	_, err := s.revoke(ctx, u.OrganizationID, u.ID)
	return err
}
