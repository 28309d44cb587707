// Package db opens and migrates the database, and runs all work in transactions that travel in the
// context.
//
// # The contract
//
// A caller passes a function to run in a transaction and gets its value:
//
//	balance, err := db.Serializable(ctx, database, "account.withdraw", func(ctx context.Context) (int, error) {
//		account, err := store.find(ctx, id) // takes its handle from ctx: see Handle
//		if err != nil {
//			return 0, err
//		}
//		if account.Balance < amount {
//			return 0, ErrInsufficient // rolls back and is returned unchanged
//		}
//		account.Balance -= amount
//		return account.Balance, store.save(ctx, account)
//	})
//
// [Serializable] runs everything that writes, at isolation level SERIALIZABLE. [Snapshot] runs
// reads on one consistent state. [ReadCommitted] is for queues. There is no other handle: a store
// called outside of a transaction gets [ErrNoTransaction].
//
// # Retries
//
// An attempt that fails with SQLSTATE 40001 or 40P01, at a statement or at COMMIT, is retried after
// a delay (see [Policy]). So is one that violates a constraint named in [RetryConstraint] and, at
// most twice, one whose connection broke before COMMIT was sent. Other failures are not retried.
// The first error that the driver saw decides, even if the function hides it: a function that
// swallows a 40001 is run again, and one that swallows another error fails with that error. When
// all attempts are used up, the error is a *[ContentionError]. If the database cannot be reached,
// it is an *[UnavailableError]. Both mean that nothing has been changed.
//
// The function may therefore run several times. It must not change anything outside the database
// (use [AfterCommit]), must not keep its handle, and must compute its result from scratch each
// time. No connection is held between attempts.
//
// # COMMIT without a reply
//
// If the connection breaks or the deadline passes after COMMIT was sent, the commit may or may not
// have taken effect. With [ProvenBy] the runner finds out: if it did, the caller gets the value; if
// not, the function is run again. Without a proof, or if the proof cannot be read, the error is an
// *[AmbiguousCommitError]. It takes precedence over later errors. If writes are sent with COMMIT
// ([WritesWithCommit]), this applies from the first of them on, unless the server has reported that one
// failed.
//
// # Round trips
//
// BEGIN travels with the first statement of a transaction, unless it takes a lock. The answer to the
// COMMIT of a [Snapshot] is not awaited. [ReadAll] sends several queries in one round trip, and [Pipeline]
// several writes. [WritesWithCommit] sends all writes with COMMIT.
//
// # Time
//
// The deadline of the caller's context bounds everything. If the next delay would exceed it, the
// error is returned at once. It wraps context.DeadlineExceeded and the last database error.
//
// # One transaction, many callers
//
// Work inside a transaction joins it, also from another module. Its isolation must not be stronger
// ([ErrIsolation]). After-commit effects, the outcome and the proof belong to the outermost unit of
// work. There are no savepoints, so any SQL error dooms the whole attempt. Joined work that refuses
// should do so before it writes.
package db
