package db_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

var errInsufficient = errors.New("there is not enough")

// withdraw is a use case: it reads, decides and writes, and may run several times.
func withdraw(ctx context.Context, account, amount int) (left int, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return 0, err
	}
	if err := tx.Raw("SELECT balance FROM accounts WHERE id = ?", account).Row().Scan(&left); err != nil {
		return 0, err
	}
	if left < amount {
		return 0, errInsufficient
	}
	left -= amount
	return left, tx.Exec("UPDATE accounts SET balance = ? WHERE id = ?", left, account).Error
}

func ExampleSerializable() {
	var database *db.DB // from db.Open
	left, err := db.Serializable(context.Background(), database, "account.withdraw", func(ctx context.Context) (int, error) {
		return withdraw(ctx, 17, 100)
	})
	if contention, ok := errors.AsType[*db.ContentionError](err); ok {
		fmt.Println("others were faster,", contention.Attempts, "times; nothing has been changed")
		return
	}
	if errors.Is(err, errInsufficient) {
		fmt.Println("refused, at the first attempt")
		return
	}
	fmt.Println("left:", left)
}

func ExampleSnapshot() {
	var database *db.DB // from db.Open
	total, err := db.Snapshot(context.Background(), database, "accounts.total", func(ctx context.Context) (total int, err error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return 0, err
		}
		// All reads see the same state, over several queries.
		err = tx.Raw("SELECT sum(balance) FROM accounts").Row().Scan(&total)
		return total, err
	})
	fmt.Println(total, err)
}

func ExampleAfterCommit() {
	var database *db.DB // from db.Open
	_, err := db.Serializable(context.Background(), database, "account.withdraw", func(ctx context.Context) (int, error) {
		err := db.AfterCommit(ctx, func(context.Context) { fmt.Println("once, and only if it is true") })
		if err != nil {
			return 0, err
		}
		return withdraw(ctx, 17, 100)
	})
	fmt.Println(err)
}

func ExampleProvenBy() {
	var database *db.DB     // from db.Open
	operation := uuid.New() // outside of the transaction, so that all attempts have the same id

	done := func(ctx context.Context) (there bool, err error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return false, err
		}
		err = tx.Raw("SELECT EXISTS (SELECT FROM operations WHERE id = ?)", operation).Row().Scan(&there)
		return there, err
	}
	_, err := db.Serializable(context.Background(), database, "account.withdraw", func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have been committed
			if there, err := done(ctx); err != nil || there {
				return struct{}{}, err
			}
		}
		tx, err := db.Handle(ctx)
		if err != nil {
			return struct{}{}, err
		}
		if err := tx.Exec("INSERT INTO operations (id) VALUES (?)", operation).Error; err != nil {
			return struct{}{}, err
		}
		_, err = withdraw(ctx, 17, 100)
		return struct{}{}, err
	}, db.ProvenBy(done), db.RetryConstraint("operations_pkey"))
	fmt.Println(err)
}
