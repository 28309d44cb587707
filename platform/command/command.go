// Package command executes everything that changes records on request of a client, once per
// request.
//
// A command has an id before its transaction begins, made from the request's Idempotency-Key, or
// new. The transaction that executes the command also writes its row: the id, a fingerprint of the
// request, and the answer. The row proves that a COMMIT without a reply took effect, answers a
// repeated request, and decides which of several concurrent requests was first.
//
// An [Engine] has one queue for the commands of all modules. Commands that arrive while a
// transaction runs share the next one. A module adds a [Handler], which says how to load the state
// for a batch of commands, how to decide each of them, and how to save the result. [Engine.Once]
// executes a single request in a transaction of its own.
package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/record"
)

// ErrReused is returned if the key was used for a different request.
var ErrReused = fault.Define(fault.Invalid, "idempotency-key-reused",
	"This Idempotency-Key was used for a different request.").
	Advising("This is a bug in the client. Use a new key for each new operation.")

// ErrSeparate is returned by a handler's Decide if a command cannot be decided after the earlier
// commands of its batch. The engine then executes it in another transaction.
var ErrSeparate = errors.New("command: the command needs a transaction of its own")

// Key is the value of a request's Idempotency-Key, with which a client can retry after any failure.
// Calls of one user with the same key are one command. The zero value means no key.
type Key string

// Call identifies one call of a command. A module embeds it in its own type of commands.
type Call struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID // of the command: the same in all calls with the same key
	CallID         uuid.UUID // distinguishes this call from others with the same ID
	Subject        uuid.UUID // the record that the command mainly changes; see [QueueKey]
	Kind           string    // for operators
	// Fingerprint is a hash of the request. Two calls with one ID but different fingerprints are
	// different requests: see [ErrReused].
	Fingerprint []byte
	// Repeatable says that the client chose the ID and may retry, so refusals are stored too.
	Repeatable bool
}

func (c Call) call() Call { return c }

func (c Call) queueKey() QueueKey { return QueueKey{c.OrganizationID, c.Subject} }

// Command is a type that embeds [Call].
type Command interface{ call() Call }

// Handler executes the commands of one module. State is what one transaction has loaded and
// changed; it is used by one goroutine.
type Handler[C Command, State, Result any] struct {
	Name   string      // in metrics
	Weight func(C) int // a command's share of the batch limit; nil: each weighs 1

	// Prefetch may be nil. It returns queries that are sent in the round trip that begins the
	// transaction, and the state that receives their rows and is passed to Load. It gets the commands
	// that are known before the transaction waits for its lock.
	Prefetch func(first []C) (State, []db.Query)

	// Load reads what the commands may need, in the transaction of the context. The state is that of
	// Prefetch, or the zero value: for work that joins a transaction, Prefetch is not called.
	Load func(ctx context.Context, prefetched State, commands []C) (State, error)

	// Decide decides one command on the state that the earlier commands left, and changes the state
	// accordingly. It reports whether it has changed anything. It does no I/O. An error is returned to
	// the caller and not stored; the state must be unchanged. See also [ErrSeparate].
	Decide func(state State, command C) (result Result, changed bool, err error)

	// Save writes the changes of the state, in the transaction of the context. Its writes are sent
	// in one round trip with COMMIT, so it must not read what it writes.
	Save func(ctx context.Context, state State) error

	// Answer returns the part of a result that is stored, as JSON. It must not contain data that
	// identifies a patient.
	Answer func(Result) any

	// Replay returns the result of a repeated command from its stored answer. It does no I/O.
	Replay func(state State, command C, answer []byte) (Result, error)
}

// Options configure an [Engine].
type Options struct {
	Database *db.DB
	Clock    func() time.Time
	NewID    func() uuid.UUID
	Metrics  *Metrics // may be nil

	BatchLimit    int // maximum number of commands in a transaction
	BatchesAtOnce int // maximum number of concurrent transactions
	QueueLimit    int // maximum number of waiting commands
	// NoLock makes transactions not wait for each other, for databases without LOCK TABLE. Conflicting
	// transactions are then retried.
	NoLock bool
	// ByOrganization gives each batch commands of one organization only, for databases that keep the rows of
	// organizations apart.
	ByOrganization bool
}

// The defaults of [Options]. A transaction of 256 operations on units takes tens of milliseconds. A
// larger one would hardly increase throughput, but would delay others.
const (
	DefaultBatchLimit    = 256
	DefaultBatchesAtOnce = 1
	DefaultQueueLimit    = 10_000
)

// batchTimeout limits a batch whose callers have no earlier deadline.
const batchTimeout = 30 * time.Second

// Engine executes the commands of all modules. It is safe for concurrent use.
type Engine struct {
	options Options
	queue   *Queue[task, outcome]
}

// task is a queued command with its handler.
type task struct {
	handler runner
	command any
}

// outcome is the answer to a task.
type outcome struct {
	result   any
	replayed bool
	err      error // of this command alone
}

// runner is a [Handler] of any types.
type runner interface {
	name() string
	weight(command any) int
	execute(ctx context.Context, batch Batch[task]) ([]outcome, error)
}

// NewEngine returns an engine without handlers. Zero limits have their defaults.
func NewEngine(o Options) *Engine {
	e := &Engine{options: o}
	e.queue = NewQueue(QueueOptions[task]{
		AtOnce: orDefault(o.BatchesAtOnce, DefaultBatchesAtOnce), Limit: orDefault(o.BatchLimit, DefaultBatchLimit),
		Waiting: orDefault(o.QueueLimit, DefaultQueueLimit), Timeout: batchTimeout, Metrics: o.Metrics,
		Name:   func(t task) string { return t.handler.name() },
		Weight: func(t task) int { return t.handler.weight(t.command) },
		Group:  e.groupOf,
	}, func(ctx context.Context, batch Batch[task]) ([]outcome, error) {
		return batch.First()[0].handler.execute(ctx, batch)
	})
	return e
}

// groupOf returns what the commands of a batch have in common.
func (e *Engine) groupOf(t task) any {
	if !e.options.ByOrganization {
		return t.handler
	}
	return organizationGroup{t.handler, t.command.(Command).call().OrganizationID}
}

// organizationGroup is a handler's group with [Options.ByOrganization].
type organizationGroup struct {
	handler      runner
	organization uuid.UUID
}

func orDefault(n, preset int) int {
	if n == 0 {
		return preset
	}
	return n
}

// Waiting returns the number of commands that wait for their transaction.
func (e *Engine) Waiting() int { return e.queue.Waiting() }

// Close waits for running commands, and refuses new ones.
func (e *Engine) Close() { e.queue.Close() }

// now returns the current time with PostgreSQL's precision.
func (e *Engine) now() time.Time { return e.options.Clock().UTC().Truncate(time.Microsecond) }

// keyNamespace is the namespace of ids derived from keys. It must never change.
var keyNamespace = uuid.MustParse("5b0f6c5e-5c1e-4c60-9d3a-2f6a1f0c7b11")

// newCall returns a call of the caller. Keys of different scopes are independent.
func (e *Engine) newCall(caller identity.Caller, scope, kind string, key Key) Call {
	c := Call{
		OrganizationID: caller.OrganizationID, CallID: e.options.NewID(), Kind: kind, Repeatable: key != "",
		Fingerprint: []byte{},
	}
	if key == "" {
		c.ID = e.options.NewID()
		return c
	}
	name := caller.OrganizationID.String() + "\n" + caller.UserID.String() + "\n" + scope + "\n" + string(key)
	c.ID = uuid.NewSHA1(keyNamespace, []byte(name))
	return c
}

// Exclusive runs fn in a SERIALIZABLE transaction of its own, in its turn among the commands of the
// call's subject. With one batch at a time, no command runs meanwhile. Use it for work after which
// no other command of the same batch could be decided.
//
// fn may run several times. If done is set, an earlier attempt has made the changes, and fn only
// returns the result.
func (e *Engine) Exclusive(
	ctx context.Context, operation string, call Call, fn func(ctx context.Context, done bool) error,
) error {
	return e.queue.Exclusive(ctx, call.queueKey(), func(ctx context.Context) error {
		rows := []row{{Call: call, CreatedAt: e.now()}}
		_, err := db.Serializable(ctx, e.options.Database, operation, func(ctx context.Context) (struct{}, error) {
			if db.InDoubt(ctx) {
				if found, err := find(ctx, rows[0].key()); err != nil || len(found) > 0 {
					return struct{}{}, errors.Join(err, fn(ctx, true))
				}
			}
			if err := fn(ctx, false); err != nil {
				return struct{}{}, err
			}
			return struct{}{}, write(ctx, rows)
		}, append(onceOptions(&rows), e.WaitForBatches()...)...)
		return err
	})
}

// Executor executes the commands of one handler.
type Executor[C Command, Result any] struct {
	engine *Engine
	runner runner
}

// Add adds a handler to the engine.
func Add[C Command, State, Result any](e *Engine, h Handler[C, State, Result]) Executor[C, Result] {
	return Executor[C, Result]{e, &adapter[C, State, Result]{h, e}}
}

// NewCall returns a new call of the caller. Its caller adds the subject and the fingerprint.
func (x Executor[C, Result]) NewCall(caller identity.Caller, kind string, key Key) Call {
	return x.engine.newCall(caller, x.runner.name(), kind, key)
}

// Do executes a command in a SERIALIZABLE transaction, together with others, and once per ID. It
// returns the result, and whether it is that of an earlier call. Inside a transaction, it executes
// the command there. Errors: of the handler, of [Queue.Do], of the transaction, and [ErrReused].
func (x Executor[C, Result]) Do(ctx context.Context, command C) (result Result, replayed bool, err error) {
	o, err := x.engine.queue.Do(ctx, command.call().queueKey(), task{x.runner, command})
	if err != nil {
		return result, false, err
	}
	if r, ok := o.result.(Result); ok {
		result = r
	}
	return result, o.replayed, o.err
}

// adapter is a handler as a [runner].
type adapter[C Command, State, Result any] struct {
	Handler[C, State, Result]
	engine *Engine
}

func (a *adapter[C, State, Result]) name() string { return a.Name }

func (a *adapter[C, State, Result]) weight(command any) int {
	if a.Weight == nil {
		return 1
	}
	return a.Weight(command.(C))
}

// execute executes a batch in one SERIALIZABLE transaction. The batch is closed only after the lock
// is acquired, so it includes commands that arrived while another instance held it. Without the lock it
// is closed before the transaction: the snapshot of the prefetched rows may be older than an answer of another
// instance, to which a later command refers. The context needs no caller.
func (a *adapter[C, State, Result]) execute(ctx context.Context, batch Batch[task]) ([]outcome, error) {
	if a.engine.options.NoLock {
		batch = BatchOf(batch.All()...)
	}
	var rows []row // of the latest attempt
	var prefetched State
	options := append(append(onceOptions(&rows), db.WritesWithCommit(), db.GenericPlans()), a.engine.WaitForBatches()...)
	if a.Prefetch != nil {
		first := commandsOf[C](batch.First())
		options = append(options, db.ReadsWithBegin(organizationsOf(first), func() (queries []db.Query) {
			prefetched, queries = a.Prefetch(first)
			return queries
		}))
	}
	return db.Serializable(ctx, a.engine.options.Database, a.Name+".batch", func(ctx context.Context) ([]outcome, error) {
		commands := commandsOf[C](batch.All())
		if err := db.Admit(ctx, organizationsOf(commands)...); err != nil {
			return nil, err
		}
		b := execution[C, State, Result]{
			adapter: a, now: a.engine.now(), inDoubt: db.InDoubt(ctx), done: map[record.Key]row{},
		}
		if b.inDoubt {
			var err error
			if b.done, err = find(ctx, keysOf(commands)...); err != nil {
				return nil, err
			}
		}
		var err error
		if b.state, err = a.Load(ctx, prefetched, commands); err != nil {
			return nil, err
		}
		outcomes := make([]outcome, len(commands))
		for i, c := range commands {
			if outcomes[i] = b.execute(c); errors.Is(outcomes[i].err, ErrSeparate) {
				return nil, outcomes[i].err
			}
		}
		rows = b.rows
		return outcomes, db.Pipeline(ctx, func(ctx context.Context) error {
			if err := a.Save(ctx, b.state); err != nil {
				return err
			}
			return write(ctx, rows)
		})
	}, options...)
}

// execution is one attempt to execute a batch.
type execution[C Command, State, Result any] struct {
	*adapter[C, State, Result]
	state   State
	now     time.Time
	inDoubt bool               // an earlier attempt may have written the rows; see [db.InDoubt]
	done    map[record.Key]row // stored before, or decided in this batch
	rows    []row              // not yet written
}

// execute decides a command, or replays it.
func (b *execution[C, State, Result]) execute(command C) outcome {
	call := command.call()
	if stored, ok := b.done[call.key()]; ok {
		if !bytes.Equal(stored.Fingerprint, call.Fingerprint) {
			return outcome{err: ErrReused}
		}
		result, err := b.Replay(b.state, command, stored.Answer)
		return outcome{result, true, err}
	}
	result, changed, err := b.Decide(b.state, command)
	if err != nil {
		return outcome{err: err}
	}
	// A command without changes and without a key needs no row, unless an earlier attempt may have
	// changed something: its COMMIT may still be running, and only the rows' keys make the two
	// conflict.
	if changed || call.Repeatable || b.inDoubt {
		answer, err := json.Marshal(b.Answer(result))
		if err != nil {
			return outcome{err: err}
		}
		r := row{Call: call, Answer: answer, CreatedAt: b.now}
		b.rows = append(b.rows, r)
		b.done[r.key()] = r
	}
	return outcome{result: result}
}

func commandsOf[C Command](tasks []task) []C {
	commands := make([]C, len(tasks))
	for i, t := range tasks {
		commands[i] = t.command.(C)
	}
	return commands
}

func organizationsOf[C Command](commands []C) []uuid.UUID {
	organizations := make([]uuid.UUID, len(commands))
	for i, c := range commands {
		organizations[i] = c.call().OrganizationID
	}
	return slices.Compact(organizations)
}

func keysOf[C Command](commands []C) []record.Key {
	keys := make([]record.Key, len(commands))
	for i, c := range commands {
		keys[i] = c.call().key()
	}
	return keys
}
