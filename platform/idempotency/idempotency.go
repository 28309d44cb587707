// Package idempotency lets a client retry a POST after any failure. Requests with the
// same Idempotency-Key by the same user have one effect and one answer. The key, a
// fingerprint of the request and its answer are stored in the transaction of the
// effect.
package idempotency

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// ErrReused is returned if the key was used for a different request.
var ErrReused = fault.Define(fault.Invalid, "idempotency-key-reused",
	"This Idempotency-Key was used for a different request.").
	Advising("This is a bug in the client. Use a new key for each new operation.")

// Answer is the stored answer of a request.
type Answer struct {
	Status  int
	Headers map[string]string
	Body    []byte
	// Kept is the part of Body that is stored and sent to repeated requests: it has no
	// secrets. In a replayed answer, Kept and Body are equal.
	Kept []byte
}

// Keys stores idempotency keys and answers. Safe for concurrent use.
type Keys struct {
	database *db.DB
	clock    func() time.Time
	newID    func() uuid.UUID
}

// New returns a Keys that stores in the database.
func New(database *db.DB, clock func() time.Time, newID func() uuid.UUID) *Keys {
	return &Keys{database, clock, newID}
}

// stored are the kinds of refusals that a repeated request receives again. They depend
// on the state at the time of the first request, and a repetition must not contradict
// the first answer. Other failures decided nothing and are tried again.
var stored = []fault.Kind{fault.Conflict, fault.NotFound, fault.Invalid}

// Once executes the request of the caller in the context, unless a request with the
// same key was executed before. It returns the answer and whether it is a stored one.
//
// request works in the transaction of its context and may run several times. A refusal
// that depends on the state is stored too, and returned as the error. Once also returns
// [ErrReused] and [identity.ErrUnauthenticated].
//
// Concurrent requests with the same key wait for each other; only the first is
// executed.
func (k *Keys) Once(
	ctx context.Context, key string, fingerprint []byte, request func(ctx context.Context) (Answer, error),
) (Answer, bool, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Answer{}, false, err
	}
	mine := row{
		OrganizationID: caller.OrganizationID, UserID: caller.UserID, Key: key, Call: k.newID(), Fingerprint: fingerprint,
		CreatedAt: k.clock().UTC().Truncate(time.Microsecond),
	}
	var fresh Answer // the answer of the committed attempt: the primary key admits only one
	found, err := k.once(ctx, mine, func(ctx context.Context) (Answer, error) {
		var err error
		fresh, err = request(ctx)
		return fresh, err
	})
	if refusal, ok := fault.From(err); ok && slices.Contains(stored, refusal.Kind()) {
		// The request had no effect, so the refusal is stored in a transaction of its
		// own. If several requests race, the first to write the key decides.
		mine.Refusal = refusal.Freeze()
		found, err = k.once(ctx, mine, nil)
	}
	switch {
	case err != nil:
		return Answer{}, false, err
	case !bytes.Equal(found.Fingerprint, fingerprint):
		return Answer{}, false, ErrReused
	}
	replayed := found.Call != mine.Call
	if found.Refusal != nil {
		refusal, err := found.Refusal.Thaw()
		if err != nil {
			return Answer{}, replayed, err
		}
		return Answer{}, replayed, refusal
	}
	if !replayed {
		return fresh, false, nil
	}
	return Answer{found.Status, found.Headers, found.Body, found.Body}, true, nil
}

// once returns the row of the key and inserts it if it does not exist.
func (k *Keys) once(ctx context.Context, mine row, request func(ctx context.Context) (Answer, error)) (row, error) {
	proof := func(ctx context.Context) (bool, error) {
		found, err := find(ctx, mine)
		return found != nil && found.Call == mine.Call, err
	}
	return db.Serializable(ctx, k.database, "idempotency.once", func(ctx context.Context) (row, error) {
		if db.InDoubt(ctx) {
			if found, err := find(ctx, mine); err != nil || found != nil {
				return deref(found), err
			}
		}
		created := mine
		if err := insert(ctx, created); err != nil { // waits for another request with the key
			return row{}, err
		}
		if request == nil {
			return created, nil
		}
		answer, err := request(ctx)
		if err != nil {
			return row{}, err
		}
		created.Status, created.Headers, created.Body = answer.Status, answer.Headers, answer.Kept
		return created, settle(ctx, created)
	}, db.ProvenBy(proof), db.RetryConstraint(keyOnce))
}

func deref(r *row) row {
	if r == nil {
		return row{}
	}
	return *r
}

// Forget deletes the keys created before the given time, in all organizations, and returns
// their number. Index: idempotency_keys_by_age.
func (k *Keys) Forget(ctx context.Context, older time.Duration) (int64, error) {
	return db.RemoveOld(ctx, k.database, db.Removal{
		Operation: "idempotency.forget", Table: "idempotency_keys", Time: "created_at", Before: k.clock().Add(-older),
	})
}
