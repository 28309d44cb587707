package app

import (
	"context"
	"errors"
	"time"

	"omnirapeutic/platform/jobs"
)

// PeriodicJobs returns all periodic jobs of the program. Work triggered by signals, such as the
// relay of events, is not included.
func (a *App) PeriodicJobs() []jobs.Job {
	return []jobs.Job{
		{Name: "release-expired-holds", Every: a.config.SweepInterval, Run: a.Authorizations.SweepHolds},
		{Name: "publish-reminders", Every: 30 * time.Second, Run: a.remind},
		{Name: "remove-reminders", Every: time.Hour, Run: a.Appointments.ForgetReminders},
		{Name: "remove-events", Every: time.Hour, Run: a.Events.Sweep},
		{Name: "remove-sign-ins", Every: time.Hour, Run: a.Access.Sweep},
		{Name: "remove-idempotency-keys", Every: time.Hour, Run: a.ForgetRequests},
		{Name: "remove-verifications", Every: time.Hour, Run: a.Verifications.Forget},
		{Name: "log-audit-heads", Every: time.Hour, Run: a.Audit.LogHeads},
		{Name: "remove-anonymous-attempts", Every: time.Hour, Run: a.Audit.ForgetAttempts},
		{Name: "write-anonymous-attempts", Every: 5 * time.Second, Run: a.Audit.KeepAttempts, PerInstance: true, AtStop: true},
		{Name: "write-api-key-uses", Every: time.Minute, Run: a.Access.KeepKeyUses, PerInstance: true, AtStop: true},
	}
}

// RunJobs runs the periodic jobs when they are due, until the context ends.
func (a *App) RunJobs(ctx context.Context) { a.jobs.Run(ctx) }

func (a *App) remind(ctx context.Context) (int64, error) {
	published, err := a.Appointments.Remind(ctx, a.config.Reminders)
	return int64(published), err
}

// ForgetRequests removes the stored results of requests that can no longer be repeated, and returns
// the number of removed rows.
func (a *App) ForgetRequests(ctx context.Context) (removed int64, err error) {
	keep := a.config.IdempotencyRetention
	for _, forget := range []func(context.Context, time.Duration) (int64, error){
		a.keys.Forget, a.Authorizations.ForgetOperations, a.Appointments.ForgetOperations,
	} {
		n, failed := forget(ctx, keep)
		removed, err = removed+n, errors.Join(err, failed)
	}
	return removed, err
}
