package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// accessChannel is the notification channel for revocations.
const accessChannel = "omnirapeutic_access"

// revoke ends all sign-ins of a user and invalidates their access tokens on every instance, if
// the transaction of the context commits. It returns the epoch of new tokens. The caller records
// the reason. The error is gorm's if there is no such user.
func (s *Service) revoke(ctx context.Context, organization, user uuid.UUID) (epoch int64, err error) {
	epoch, err = raiseEpoch(ctx, organization, user)
	if err != nil {
		return 0, err
	}
	return epoch, s.announce(ctx, organization, change{subject{ofUser, user}, epoch, s.now()})
}

// announce publishes changes to every instance if the transaction of the context commits: to this
// one immediately, to the others by NOTIFY. An instance that misses a notification finds the
// change at its next poll.
func (s *Service) announce(ctx context.Context, organization uuid.UUID, changes ...change) error {
	if err := db.AfterCommit(ctx, func(context.Context) { s.standing.apply(changes...) }); err != nil {
		return err
	}
	return insertChanges(ctx, organization, changes)
}

// While returns a context for long responses, which ends when the caller's access token is
// revoked. Call the returned function when the response ends.
func (s *Service) While(ctx context.Context, caller identity.Caller) (context.Context, context.CancelFunc) {
	return s.standing.while(ctx, caller)
}

// Learn loads the revocations since the last call. After the first call, [Service.Run] must
// repeat it: if no call succeeds for five seconds, [Service.Authenticate] refuses all tokens.
// Before the first call the service knows only its own revocations, which is enough for commands
// and tests.
func (s *Service) Learn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	began := time.Now() //nolint:forbidigo // real time, independent of the clock
	since := s.standing.next()
	found, upTo, err := s.changesSince(ctx, since)
	if err == nil && upTo < since { // another or restored database: transaction numbers start over
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
		s.database.Listen(ctx, accessChannel, accessListener{wake, s.logger})
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
				Warn("cannot load the revocations of other instances; all access tokens will be refused soon")
		}
		s.standing.tidy(s.now().Add(-keepChanges))
	}
}

// keepEnded is how long an ended sign-in is kept, as a record of the user's networks.
const keepEnded = 30 * 24 * time.Hour

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
		{Table: "sign_ins", Where: "NOT tokens_kept", Time: signInEnd, Before: now.Add(-keepEnded)},
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

// accessListener polls when another instance publishes a change.
type accessListener struct {
	wake   chan<- struct{}
	logger logrus.FieldLogger
}

func (t accessListener) signal() {
	select {
	case t.wake <- struct{}{}:
	default: // a poll is already due
	}
}

// Connected implements [db.Listener].
func (t accessListener) Connected() { t.signal() }

// Notified implements [db.Listener].
func (t accessListener) Notified(string) { t.signal() }

// Lost implements [db.Listener].
func (t accessListener) Lost(err error) {
	t.logger.WithFields(logrus.Fields{"event": "listen_lost", "error": err}).
		Warn("cannot receive notifications of other instances; their revocations arrive up to a second late")
}
