package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// accessChannel is where instances tell each other that something was changed.
const accessChannel = "omnirapeutic_access"

// revoke ends, in the transaction of the context, everything that a user has: access
// tokens hold no more, on any instance, once it has committed, and no sign-in can be
// refreshed. It returns the epoch of tokens that are made from now on. Whoever calls
// it records why. The error is gorm's where there is no such user.
func (s *Service) revoke(ctx context.Context, organization, user uuid.UUID) (epoch int64, err error) {
	epoch, err = raiseEpoch(ctx, organization, user)
	if err != nil {
		return 0, err
	}
	return epoch, s.announce(ctx, organization, change{subject{ofUser, user}, epoch, s.now()})
}

// announce makes changes known to every instance, if and when the transaction of
// the context commits: to this one at once, to the others by NOTIFY, and by their
// next look where that is lost.
func (s *Service) announce(ctx context.Context, organization uuid.UUID, changes ...change) error {
	if err := db.AfterCommit(ctx, func(context.Context) { s.standing.apply(changes...) }); err != nil {
		return err
	}
	return insertChanges(ctx, organization, changes)
}

// While returns a context that ends when the caller's access token is revoked, for
// answers that go on for long, and what must be called when they end.
func (s *Service) While(ctx context.Context, caller identity.Caller) (context.Context, context.CancelFunc) {
	return s.standing.while(ctx, caller)
}

// Learn reads what has been revoked since it was read last. Once it was called, it
// must be called again and again, as [Service.Run] does: when it has not succeeded for
// five seconds, [Service.Authenticate] lets nobody in. Before the first time the
// service knows of its own changes only, which is enough for commands and tests.
func (s *Service) Learn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	began := time.Now() //nolint:forbidigo // silence is real time, whatever the clock says
	since := s.standing.next()
	found, upTo, err := s.changesSince(ctx, since)
	if err == nil && upTo < since { // another database, or one that was restored: its transactions are counted anew
		found, upTo, err = s.changesSince(ctx, 0)
	}
	if err != nil {
		return err
	}
	s.standing.apply(found...)
	s.standing.follow(began, upTo)
	return nil
}

func (s *Service) changesSince(ctx context.Context, transaction uint64) (found []change, upTo uint64, err error) {
	found, err = db.Snapshot(ctx, s.database, "access.learn", func(ctx context.Context) (found []change, err error) {
		found, upTo, err = selectChanges(ctx, transaction)
		return found, err
	}, db.AllOrganizations())
	return found, upTo, err
}

// Run does the background work of this module until the context ends: it loads the revocations of
// other instances, each second and at every notification. Any number of instances may run at once.
func (s *Service) Run(ctx context.Context) {
	wake := make(chan struct{}, 1)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		s.database.Listen(ctx, accessChannel, told{wake, s.logger})
	}()
	defer func() { <-listening }()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		case <-wake:
		}
		if err := s.Learn(ctx); err != nil && ctx.Err() == nil {
			s.logger.WithFields(logrus.Fields{"event": "access_unknown", "error": err}).
				Warn("what other instances have revoked cannot be read; soon nobody is let in any more")
		}
		s.standing.tidy(s.now().Add(-keepChanges))
	}
}

// keepPlaces is how long an ended sign-in is kept, as a record of the user's networks.
const keepPlaces = 30 * 24 * time.Hour

// Sweep removes outdated rows of sign-ins of all organizations and returns their number. Indexes:
// see migrations 00036 and 00052.
func (s *Service) Sweep(ctx context.Context) (removed int64, err error) {
	now := s.now()
	if removed, err = s.removeTokens(ctx, now); err != nil {
		return removed, err
	}
	for _, r := range []db.Removal{
		{Table: "access_changes", Time: "changed_at", Before: now.Add(-keepChanges)},
		{Table: "sign_in_failures", Time: "last_at", Before: now.Add(-forgetAfter)},
		{Table: "second_factors", Where: "confirmed_at IS NULL", Time: "begun_at", Before: now.Add(-enrolmentTime)},
		{Table: "provider_link_requests", Time: "expires_at", Before: now},
		{Table: "password_resets", Time: "expires_at", Before: now},
		{Table: "sign_ins", Where: "NOT tokens_kept", Time: signInEnd, Before: now.Add(-keepPlaces)},
	} {
		r.Operation = "access.sweep"
		n, err := db.RemoveOld(ctx, s.database, r)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// removeTokens removes the refresh tokens of ended sign-ins.
func (s *Service) removeTokens(ctx context.Context, now time.Time) (removed int64, err error) {
	for {
		var signIns int64
		n, err := db.ReadCommitted(ctx, s.database, "access.sweep", func(ctx context.Context) (n int64, err error) {
			n, signIns, err = removeTokens(ctx, now)
			return n, err
		}, db.AllOrganizations())
		removed += n
		if err != nil || n < maxRemovedTokens && signIns < maxEndedSignIns {
			return removed, err
		}
	}
}

// told has the instance look when another tells that something was changed.
type told struct {
	wake   chan<- struct{}
	logger logrus.FieldLogger
}

func (t told) signal() {
	select {
	case t.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Connected implements [db.Listener].
func (t told) Connected() { t.signal() }

// Notified implements [db.Listener].
func (t told) Notified(string) { t.signal() }

// Lost implements [db.Listener].
func (t told) Lost(err error) {
	t.logger.WithFields(logrus.Fields{"event": "listen_lost", "error": err}).
		Warn("other instances cannot be heard for now; what they revoke is known a second later")
}
