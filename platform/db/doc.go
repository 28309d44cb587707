// Package db is the way to the database: it opens it, migrates it, and runs
// every piece of work in a transaction that travels in the context.
//
// # The contract
//
// A caller writes a function of a transaction and gets its value:
//
//	balance, err := db.Serializable(ctx, database, "account.withdraw", func(ctx context.Context) (int, error) {
//		account, err := store.find(ctx, id) // takes its handle from ctx: see Handle
//		if err != nil {
//			return 0, err
//		}
//		if account.Balance < amount {
//			return 0, ErrInsufficient // rolls back and is returned as it is
//		}
//		account.Balance -= amount
//		return account.Balance, store.save(ctx, account)
//	})
//
// [Serializable] gives SERIALIZABLE to everything that writes, [Snapshot] one
// moment's state to what only reads; [ReadCommitted] is for queues. There is no
// other handle: a store called outside of a transaction gets [ErrNoTransaction].
//
// # What is tried again
//
// An attempt that fails with SQLSTATE 40001 or 40P01, at a statement or at
// COMMIT, is made again after a delay (see [Policy]); so is one that violates a
// constraint named in [RetryConstraint], and, at most twice, one whose connection
// broke before COMMIT was sent. Nothing else is. What counts is the first error
// that the driver saw, whatever the function made of it: one that swallows a
// 40001 is run again, one that swallows another error fails with that error.
// When all attempts are used up the error is a *[ContentionError]; where the
// database cannot be reached, an *[UnavailableError]. Both mean that nothing has
// been changed.
//
// So the function may run several times. It must not change anything outside the
// database ([AfterCommit] is for that), must not keep its handle, and must make
// its result anew each time. No connection is held between attempts.
//
// # COMMIT without an answer
//
// A connection that breaks, or a deadline that passes, once COMMIT was sent says
// nothing about whether it was carried out. With [ProvenBy] the runner finds out:
// if it was, the caller gets the value; if not, the function is run again.
// Without, or where even that cannot be asked, the error is an
// *[AmbiguousCommitError]: it stands in front of whatever else went wrong later.
// Where writes are sent with COMMIT ([WritingLast]), that is so from the first of
// them on, unless the server has said that one failed.
//
// # Time
//
// The deadline of the caller's context bounds everything. Where the next delay
// would cross it, the error comes at once; context.DeadlineExceeded and the last
// database error can both be found in it.
//
// # One transaction, many callers
//
// Work inside a transaction joins it, also from another module: the isolation
// must not be stronger ([ErrIsolation]), after-commit effects and the outcome are
// those of the outermost, whose proof it is that counts. There are no savepoints,
// so any SQL error dooms the whole attempt, and joined work that refuses should
// do so before it writes.
package db
