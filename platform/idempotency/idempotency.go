// Package idempotency lets a client repeat a POST after any failure: requests
// with the same Idempotency-Key by the same user are one request, with one effect
// and one answer. The key, a fingerprint of the request and its answer are stored
// in the same transaction as the effect.
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

// ErrReused says that the key was used for something else.
var ErrReused = fault.Define(fault.Invalid, "idempotency-key-reused", "This Idempotency-Key was used for a different request.").
	Advising("A bug in the client: make a new key for each new operation.")

// Answer is what a request came to, as it is sent.
type Answer struct {
	Status  int
	Headers map[string]string
	Body    []byte
	// Kept is what repetitions get in place of Body, and all of it that is stored: it
	// has no secrets. In an answer to a repetition the two are the same.
	Kept []byte
}

// Keys remembers requests. Safe for concurrent use.
type Keys struct {
	database *db.DB
	clock    func() time.Time
	newID    func() uuid.UUID
}

// New returns an empty memory of requests, which lives in the database.
func New(database *db.DB, clock func() time.Time, newID func() uuid.UUID) *Keys {
	return &Keys{database, clock, newID}
}

// stored are the kinds of refusals that a repetition gets again: they depend on
// the state, which may be another by then, and the client must not be left
// wondering which of two answers holds. What failed for another reason was not
// decided, and is tried again.
var stored = []fault.Kind{fault.Conflict, fault.NotFound, fault.Invalid}

// Once carries out the request of the caller in the context, unless one with the
// key has been, and returns its answer, and whether that is from an earlier one.
// request does its work in the transaction of its context, and may be run several
// times. A refusal that depends on the state is remembered as well; it is returned
// as the error. Errors besides those of request: [ErrReused],
// [identity.ErrUnauthenticated].
//
// Of requests with one key at the same time one is carried out, and the others
// wait for it.
func (k *Keys) Once(ctx context.Context, key string, fingerprint []byte, request func(ctx context.Context) (Answer, error)) (Answer, bool, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Answer{}, false, err
	}
	mine := row{
		OrganizationID: caller.OrganizationID, UserID: caller.UserID, Key: key, Call: k.newID(), Fingerprint: fingerprint,
		CreatedAt: k.clock().UTC().Truncate(time.Microsecond),
	}
	var fresh Answer // of the attempt that was committed: no other gets past the key after it
	found, err := k.once(ctx, mine, func(ctx context.Context) (Answer, error) {
		var err error
		fresh, err = request(ctx)
		return fresh, err
	})
	if refusal, ok := fault.From(err); ok && slices.Contains(stored, refusal.Kind()) {
		// It had no effect, so what it is remembered by needs no part in its transaction:
		// whoever writes the key first has decided.
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

// once returns the row of the key, and has made it if there was none.
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
		made := mine
		if err := insert(ctx, made); err != nil { // waits for another request with the key
			return row{}, err
		}
		if request == nil {
			return made, nil
		}
		answer, err := request(ctx)
		if err != nil {
			return row{}, err
		}
		made.Status, made.Headers, made.Body = answer.Status, answer.Headers, answer.Kept
		return made, settle(ctx, made)
	}, db.ProvenBy(proof), db.RetryConstraint(keyOnce))
}

func deref(r *row) row {
	if r == nil {
		return row{}
	}
	return *r
}

// Forget removes the keys that are older than the given time, of all organizations, and returns
// their number. Index: idempotency_keys_by_age.
func (k *Keys) Forget(ctx context.Context, older time.Duration) (int64, error) {
	return db.RemoveOld(ctx, k.database, db.Removal{
		Operation: "idempotency.forget", Table: "idempotency_keys", Time: "created_at", Before: k.clock().Add(-older),
	})
}
