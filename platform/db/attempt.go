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

// attempt is one try at a transaction. It travels in the context of everything
// that is done in it.
type attempt struct {
	unit    unit
	number  int             // 1 for the first
	inDoubt bool            // see [InDoubt]
	at      phase           // how far it has come
	caller  context.Context // ends when nobody waits any more, before that of the transaction

	connection *sql.Conn // of the transaction
	last       []write   // what is to be sent with COMMIT; see [WritingLast]

	mu      sync.Mutex
	tenancy tenancy
	tx      *gorm.DB // nil before it has begun and once it is over
	over    bool     // the body has returned an error: what fails while rolling back is no cause
	first   error    // the first database error, as the driver saw it
	lost    bool     // the connection broke
	after   []func(ctx context.Context)
}

type attemptKey struct{}

func attemptIn(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// ErrNoTransaction says that the context carries no transaction.
var ErrNoTransaction = errors.New("db: no transaction in the context")

// ErrTransactionOver says that the transaction in the context has ended.
var ErrTransactionOver = errors.New("db: the transaction in the context is over")

// ErrIsolation says that serializable work was asked to join a weaker transaction.
var ErrIsolation = errors.New("db: serializable work cannot join a weaker transaction")

// join lets more work into the attempt. Of its options, the constraints count
// for the whole attempt; the proof and the reach stay those of whoever began.
func (a *attempt) join(u unit) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tx == nil {
		return ErrTransactionOver
	}
	if a.unit.readOnly && !u.readOnly || u.isolation > a.unit.isolation {
		return ErrIsolation
	}
	if u.all && !a.tenancy.all {
		return ErrTenancy
	}
	a.unit.constraints = append(a.unit.constraints, u.constraints...)
	return nil
}

// InDoubt reports whether what the transaction in the context is to write may be
// there already: written by an attempt before it whose COMMIT was not answered,
// or by somebody else with the same unique key (see [RetryConstraint]).
//
// An attempt that is merely made again after 40001 is not in doubt: nothing of the
// one before is there. A body that looked up its key then would take, under
// SERIALIZABLE, a predicate lock on the place where everybody else inserts, and
// would be overtaken again and again.
func InDoubt(ctx context.Context) bool {
	a := attemptIn(ctx)
	return a != nil && a.inDoubt
}

// retried reports whether the context's transaction is not the first attempt.
func retried(ctx context.Context) bool {
	a := attemptIn(ctx)
	return a != nil && a.number > 1
}

// observe notes the first database error of the attempt.
func (a *attempt) observe(err error, closed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == nil && !a.over {
		a.first, a.lost = err, closed
	}
}

func (a *attempt) firstError() (error, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.first, a.lost
}

// start makes the transaction available to [Handle].
func (a *attempt) start(tx *gorm.DB) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tx = tx
}

// giveUp notes that the body has failed.
func (a *attempt) giveUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
}

// end makes handles that are kept past the attempt fail.
func (a *attempt) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tx = nil
}

// Handle returns the transaction in the context. Errors: [ErrNoTransaction],
// [ErrTransactionOver], and the driver's where its reach was still to be told.
func Handle(ctx context.Context) (*gorm.DB, error) {
	tx, err := handle(ctx)
	if err != nil {
		return nil, err
	}
	return tx, tell(ctx)
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

// Tenant returns the transaction in the context narrowed to rows of the caller's
// organization, and the organization. Besides the errors of [Handle] it fails
// with [identity.ErrUnauthenticated] where there is no caller, and with [ErrTenancy]
// where the transaction is about other organizations.
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
	// A session keeps what one query adds out of the next one made of the same handle.
	return narrowed.Session(&gorm.Session{}), caller.OrganizationID, nil
}

// AfterCommit has fn called once the transaction in the context is proven to be
// committed, and never if it is not. What is registered in an attempt that fails
// is forgotten with it. The context that fn gets carries the caller's values but
// no transaction, and does not end with the caller's: the commit is a fact also
// when nobody waits for it any more. Register before asking [InDoubt], so that an
// attempt that finds its work done already has the effects as well. Errors:
// [ErrNoTransaction], [ErrTransactionOver].
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

// runAfterCommit runs what was registered, without the transaction in the context.
func (a *attempt) runAfterCommit(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for _, fn := range a.after {
		fn(ctx)
	}
}
