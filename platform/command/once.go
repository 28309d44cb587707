package command

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// Reply is the answer to a request of [Engine.Once].
type Reply struct {
	Status  int
	Headers map[string]string
	Body    []byte
	// Kept is the part of Body that is stored and sent to repeated requests: it has no secrets. In a
	// replayed reply, Kept and Body are equal.
	Kept []byte
}

// storedReply is the stored form of a reply.
type storedReply struct {
	Refusal *fault.Stored     `json:"refusal,omitempty"` // nil: accepted
	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"` // JSON, so it is valid UTF-8
}

// storedRefusals are the kinds of refusals that a repeated request receives again. They depend on
// the state at the time of the first request, and a repetition must not contradict the first
// answer. Other failures decided nothing and are tried again.
var storedRefusals = []fault.Kind{fault.Conflict, fault.NotFound, fault.Invalid}

// Once executes a request of the caller in the context, unless a request with the same key was
// executed before. It returns the reply and whether it is a stored one.
//
// request works in the transaction of its context and may run several times. A refusal that depends
// on the state is stored too, and returned as the error. Once also returns [ErrReused] and
// [identity.ErrUnauthenticated].
//
// Concurrent requests with the same key wait for each other; only the first is executed.
func (e *Engine) Once(
	ctx context.Context, key Key, kind string, fingerprint []byte, request func(ctx context.Context) (Reply, error),
) (Reply, bool, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Reply{}, false, err
	}
	mine := row{Call: e.newCall(caller, "http", kind, key), CreatedAt: e.now()}
	mine.Fingerprint = fingerprint
	var fresh Reply // of the committed attempt: the primary key admits only one
	found, err := e.once(ctx, mine, func(ctx context.Context) (storedReply, error) {
		var err error
		fresh, err = request(ctx)
		return storedReply{Status: fresh.Status, Headers: fresh.Headers, Body: string(fresh.Kept)}, err
	})
	if refusal, ok := fault.From(err); ok && slices.Contains(storedRefusals, refusal.Kind()) {
		// The request had no effect, so the refusal is stored in a transaction of its own. If
		// several requests race, the first to write the key decides.
		found, err = e.once(ctx, mine, func(context.Context) (storedReply, error) {
			return storedReply{Refusal: refusal.Store()}, nil
		})
	}
	replayed := found.CallID != mine.CallID
	switch {
	case err != nil:
		return Reply{}, false, err
	case !bytes.Equal(found.Fingerprint, fingerprint):
		return Reply{}, false, ErrReused
	}
	return found.reply(fresh, replayed)
}

// reply returns the stored reply, or the fresh one if this call has executed the request.
func (r row) reply(fresh Reply, replayed bool) (Reply, bool, error) {
	var stored storedReply
	if err := json.Unmarshal(r.Answer, &stored); err != nil {
		return Reply{}, replayed, err
	}
	switch {
	case stored.Refusal != nil:
		refusal, err := stored.Refusal.Restore()
		if err == nil {
			err = refusal
		}
		return Reply{}, replayed, err
	case replayed:
		body := []byte(stored.Body)
		return Reply{stored.Status, stored.Headers, body, body}, true, nil
	}
	return fresh, false, nil
}

// once returns the row of the command, and writes it with the answer if it does not exist.
func (e *Engine) once(
	ctx context.Context, mine row, request func(ctx context.Context) (storedReply, error),
) (row, error) {
	rows := []row{mine}
	return db.Serializable(ctx, e.options.Database, "commands.once", func(ctx context.Context) (row, error) {
		if db.InDoubt(ctx) {
			if found, err := find(ctx, mine.key()); err != nil || len(found) > 0 {
				return found[mine.key()], err
			}
		}
		if err := write(ctx, rows); err != nil { // waits for another request with the key
			return row{}, err
		}
		reply, err := request(ctx)
		if err != nil {
			return row{}, err
		}
		answered := mine
		if answered.Answer, err = json.Marshal(reply); err != nil {
			return row{}, err
		}
		return answered, writeAnswer(ctx, answered)
	}, onceOptions(&rows)...)
}
