package rbac

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
)

// CountHashes counts the password hashes that the service computes from now on.
func CountHashes(s *Service) *atomic.Int64 {
	var n atomic.Int64
	compute := s.passwords.compute
	s.passwords.compute = func(password, salt []byte, p argon2id.Params) []byte {
		n.Add(1)
		return compute(password, salt, p)
	}
	return &n
}

// Revoke exports revoke.
func Revoke(ctx context.Context, s *Service, u User) error {
	_, err := s.revoke(ctx, u.OrganizationID, u.ID)
	return err
}

// CodeAt returns the code of an authenticator app with the given secret.
func CodeAt(secret string, at time.Time) string {
	raw, err := base32Text.DecodeString(secret)
	if err != nil {
		panic(err)
	}
	return totpSecret(raw).code(stepAt(at), codeDigits)
}
