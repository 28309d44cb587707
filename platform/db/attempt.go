package db

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/platform/identity"
)

// attempt is one attempt at a transaction. It is stored in the context of the work.
type attempt struct {
	unit     unit
	number   int             // 1 for the first
	inDoubt  bool            // see [InDoubt]
	at       phase           // phase reached so far
	links    Links           // see [DB.WithLinks]
	standby  bool            // the server is a standby; see [OnStandby]
	portable bool            // see [Portable]
	caller   context.Context // the caller's context; ends no later than that of the transaction

	connection *sql.Conn        // connection of the transaction
	deferred   []writeStatement // statements sent with COMMIT; see [WritesWithCommit]

	mu             sync.Mutex
	tenancy        tenancy
	tx             *gorm.DB // nil before the transaction begins and after it ends
	failed         bool     // the body returned an error: later errors during rollback are not the cause
	first          error    // the first database error, as the driver saw it
	connectionLost bool     // the connection broke
	after          []func(ctx context.Context)
}

type attemptKey struct{}

func attemptIn(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// InTransaction reports whether work with the context joins a transaction.
func InTransaction(ctx context.Context) bool { return attemptIn(ctx) != nil }

// ErrNoTransaction is returned if the context has no transaction.
var ErrNoTransaction = errors.New("db: no transaction in the context")

// ErrTransactionOver is returned if the transaction in the context has ended.
var ErrTransactionOver = errors.New("db: the transaction in the context has ended")

// ErrIsolation is returned if serializable work tries to join a weaker transaction.
var ErrIsolation = errors.New("db: serializable work cannot join a weaker transaction")

// join adds further work to the attempt. Its retried constraints apply to the whole
// attempt. Proof and organizations remain as the outermost unit of work set them.
func (a *attempt) join(u unit) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tx == nil {
		return ErrTransactionOver
	}
	if a.unit.readOnly && !u.readOnly || u.isolation > a.unit.isolation {
		return ErrIsolation
	}
	if u.allOrganizations && !a.tenancy.all {
		return ErrTenancy
	}
	a.unit.constraints = append(a.unit.constraints, u.constraints...)
	return nil
}

// InDoubt reports whether the rows that the transaction in the context will write may
// exist already. They may have been written by an earlier attempt whose COMMIT got no
// reply, or by another transaction with the same unique key (see [RetryConstraint]).
//
// A retry after 40001 alone is not in doubt, because the failed attempt left nothing.
// Reading the key in that case would take a predicate lock under SERIALIZABLE where
// other transactions insert, and cause further retries.
func InDoubt(ctx context.Context) bool {
	a := attemptIn(ctx)
	return a != nil && a.inDoubt
}

// retried reports whether the context's transaction is a retry.
func retried(ctx context.Context) bool {
	a := attemptIn(ctx)
	return a != nil && a.number > 1
}

// observe records the first database error of the attempt.
func (a *attempt) observe(err error, closed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == nil && !a.failed {
		a.first, a.connectionLost = err, closed
	}
}

func (a *attempt) firstError() (error, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.first, a.connectionLost
}

// start makes the transaction available to [Handle].
func (a *attempt) start(tx *gorm.DB) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tx = tx
}

// markFailed records that the body has failed.
func (a *attempt) markFailed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = true
}

// end invalidates handles that are kept beyond the attempt.
func (a *attempt) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tx = nil
}

// Handle returns the transaction in the context. Errors: [ErrNoTransaction],
// [ErrTransactionOver], and driver errors from setting the transaction's organizations.
func Handle(ctx context.Context) (*gorm.DB, error) {
	tx, err := handle(ctx)
	if err != nil {
		return nil, err
	}
	return tx, sendOrganizations(ctx)
}

func handle(ctx context.Context) (*gorm.DB, error) {
	a := attemptIn(ctx)
	if a == nil {
		return nil, ErrNoTransaction
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tx == nil {
		return nil, ErrTransactionOver
	}
	return a.tx.WithContext(ctx), nil
}

// Tenant returns the transaction in the context limited to rows of the caller's
// organization, and the organization. In addition to the errors of [Handle], it returns
// [identity.ErrUnauthenticated] if there is no caller, and [ErrTenancy] if the
// transaction does not admit the caller's organization.
func Tenant(ctx context.Context) (*gorm.DB, uuid.UUID, error) {
	tx, err := Handle(ctx)
	if err != nil {
		return nil, uuid.Nil, err
	}
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, uuid.Nil, err
	}
	if !attemptIn(ctx).admits(caller.OrganizationID) {
		return nil, uuid.Nil, ErrTenancy
	}
	narrowed := tx.Where("organization_id = ?", caller.OrganizationID)
	// A session isolates the conditions of each query made from the handle.
	return narrowed.Session(&gorm.Session{}), caller.OrganizationID, nil
}

// AfterCommit registers fn to be called once the transaction in the context is known to
// be committed. Registrations of a failed attempt are dropped. fn's context has the
// caller's values but no transaction, and does not end with the caller's context,
// because the commit remains even if the caller has left. Register before calling
// [InDoubt], so that an attempt that finds its work already done has the same effects.
// Errors: [ErrNoTransaction], [ErrTransactionOver].
func AfterCommit(ctx context.Context, fn func(ctx context.Context)) error {
	a := attemptIn(ctx)
	if a == nil {
		return ErrNoTransaction
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tx == nil {
		return ErrTransactionOver
	}
	a.after = append(a.after, fn)
	return nil
}

// runAfterCommit runs the registered functions, without the transaction in the context.
func (a *attempt) runAfterCommit(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for _, fn := range a.after {
		fn(ctx)
	}
}
