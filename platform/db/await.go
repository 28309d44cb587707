package db

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"omnirapeutic/platform/db/pgurl"
)

// Intervals of [AwaitServer].
const (
	awaitInterval = 500 * time.Millisecond // between two attempts to connect
	awaitAttempt  = 5 * time.Second        // maximum duration of one attempt
)

// AwaitServer waits until the server at the URL answers, for at most the given time. A refused
// password or a missing database is an answer, so that the caller's own connection reports it at once.
// onFailure is called once, with the error of the first attempt. The error is an *[UnavailableError] with
// the last failure, or the cause of ctx.
func AwaitServer(ctx context.Context, url string, wait time.Duration, onFailure func(error)) error {
	settings, err := pgurl.Parse(url)
	if err != nil {
		return errURL
	}
	deadline := time.Now().Add(wait)
	for first := true; ; first = false {
		err := tryServer(ctx, settings)
		if answered(err) {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if first {
			onFailure(err)
		}
		if !time.Now().Add(awaitInterval).Before(deadline) {
			return newUnavailableError("wait", err)
		}
		if err := sleep(ctx, awaitInterval); err != nil {
			return context.Cause(ctx)
		}
	}
}

// tryServer connects once.
func tryServer(ctx context.Context, settings *pgx.ConnConfig) error {
	ctx, cancel := context.WithTimeout(ctx, awaitAttempt)
	defer cancel()
	c, err := pgx.ConnectConfig(ctx, settings.Copy())
	if err != nil {
		return err
	}
	_ = c.Close(ctx) // it has answered
	return nil
}

// answered reports whether the server accepts connections, even if it refused this one. A pooler
// reports a server that it cannot reach in class 08.
func answered(err error) bool {
	if err == nil {
		return true
	}
	state := SQLState(err)
	switch state {
	case "", pgerrcode.CannotConnectNow, pgerrcode.TooManyConnections, pgerrcode.AdminShutdown:
		return false
	}
	return !strings.HasPrefix(state, "08")
}
