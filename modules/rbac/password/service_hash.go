package rbac

import (
	"context"

	"omnirapeutic/platform/db"
)

// saltOf returns the salt of all password hashes of an e-mail address, in any organization.
func (s *Service) saltOf(ctx context.Context, email string) ([]byte, error) {
	return db.Serializable(ctx, s.database, "password-salt.get", func(ctx context.Context) ([]byte, error) {
		return takeSalt(ctx, email, s.passwords.newSalt())
	})
}

// hashFor returns the hash of a password for an account of an e-mail address. Call it before a
// transaction, so that no connection waits for it. Errors: [ErrSignInBusy].
func (s *Service) hashFor(ctx context.Context, email, password string) (string, error) {
	salt, err := s.saltOf(ctx, email)
	if err != nil {
		return "", err
	}
	return s.passwords.hash(ctx, password, salt)
}

// takeSalt returns the salt of an address, and stores the given one if it has none yet. Index: the
// primary key.
func takeSalt(ctx context.Context, email string, otherwise []byte) (salt []byte, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Raw(`
		INSERT INTO password_salts (email, salt) VALUES (?, ?)
		ON CONFLICT (email) DO UPDATE SET email = excluded.email
		RETURNING salt`, email, otherwise).Row().Scan(&salt)
	return salt, err
}
