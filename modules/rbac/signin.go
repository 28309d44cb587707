package rbac

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// SignedIn is what a successful sign-in gives.
type SignedIn struct {
	Token   string        // to be sent with every request, see [Service.Authenticate]
	Expires time.Duration // how long it is valid
	User    User
}

// SignIn checks an e-mail address and a password, and issues an access token. It
// needs no caller in the context, and holds no connection while it hashes.
//
// An unknown address, a wrong password and a disabled user take the same time and
// get the same [ErrWrongCredentials]. Further errors: [fault.ErrInvalid] for a
// password of more than 128 bytes, [ErrSignInBusy].
func (s *Service) SignIn(ctx context.Context, email, password string) (SignedIn, error) {
	if len(password) > maxPassword {
		return SignedIn{}, fault.InvalidFields(fault.Field{
			Field: "password", Code: "max", Message: fmt.Sprintf("must have at most %d bytes", maxPassword),
		})
	}
	email = canonicalEmail(email)
	known, err := db.Snapshot(ctx, s.database, "user.sign-in", func(ctx context.Context) (credentials, error) {
		return credentialsOf(ctx, email)
	}, db.AllOrganizations())
	unknown := db.IsNotFound(err)
	if unknown {
		known, err = credentials{Hash: s.passwords.nobody}, nil
	}
	if err != nil {
		return SignedIn{}, err
	}
	matches, err := s.passwords.matches(ctx, password, known.Hash)
	if err != nil {
		return SignedIn{}, err
	}
	if unknown || !matches || known.User.Disabled {
		reason := reasonOf(unknown, matches)
		s.logger.WithFields(userFields("sign_in_refused", known.User)).WithField("reason", reason).Warn("a sign-in was refused")
		if err := s.noteSignIn(ctx, known.User, reason); err != nil {
			return SignedIn{}, err
		}
		return SignedIn{}, ErrWrongCredentials
	}
	token, err := s.tokens.issue(known.User, uuid.Nil)
	if err != nil {
		return SignedIn{}, fmt.Errorf("sign an access token: %w", err)
	}
	if err := s.noteSignIn(ctx, known.User, ""); err != nil {
		return SignedIn{}, err
	}
	s.logger.WithFields(userFields("signed_in", known.User)).Info("a user has signed in")
	return SignedIn{Token: token, Expires: s.tokens.lifetime, User: known.User}, nil
}

// reasonOf tells administrators what the answer does not. The address that was
// typed is told to nobody: it may be a password typed into the wrong field.
func reasonOf(unknown, matches bool) string {
	switch {
	case unknown:
		return "unknown"
	case !matches:
		return "password"
	}
	return "disabled"
}

func userFields(event string, u User) logrus.Fields {
	fields := logrus.Fields{"event": event}
	if u.ID != uuid.Nil {
		fields["user_id"], fields["organization_id"] = u.ID, u.OrganizationID
	}
	return fields
}

// Me returns the user who is signed in. The error is [identity.ErrUnauthenticated]
// where there is none, or not any more, and [identity.ErrPeopleOnly] where the
// caller is another system.
func (s *Service) Me(ctx context.Context) (User, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return User{}, err
	}
	if err := caller.RequirePerson(); err != nil {
		return User{}, err
	}
	me, err := db.Snapshot(ctx, s.database, "user.me", func(ctx context.Context) (User, error) {
		return takeUser(ctx, caller.UserID)
	})
	if db.IsNotFound(err) || err == nil && me.Disabled {
		return User{}, identity.ErrUnauthenticated
	}
	return me, err
}
