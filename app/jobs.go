package app

import (
	"context"
	"slices"
	"time"

	"omnirapeutic/platform/jobs"
)

// sealGather limits the rate of the sealer's commits, and so how often other transactions wait for
// its flush.
const sealGather = 250 * time.Millisecond

// siemInterval is the interval of sending audit events to a SIEM, and of retries.
const siemInterval = 5 * time.Second

// mailPoll is the interval between looks for mail whose retry is due, or that another instance has left.
const mailPoll = 5 * time.Second

// BackgroundJobs is the table of all background jobs of the program.
func (a *App) BackgroundJobs() []jobs.Job {
	return slices.Concat(a.sharedJobs(), a.partitionJobs(), a.instanceJobs(), a.deliveryJobs(), a.exportJobs())
}

// sharedJobs run once per interval, on any instance.
func (a *App) sharedJobs() []jobs.Job {
	return []jobs.Job{
		{Name: "release-expired-holds", Every: a.config.SweepInterval, Run: a.Authorizations.SweepHolds},
		{Name: "remove-reminders", Every: time.Hour, Run: a.Appointments.ForgetReminders},
		{Name: "remove-events", Every: time.Hour, Run: a.Events.Sweep},
		{Name: "remove-sign-ins", Every: time.Hour, Run: a.Access.Sweep},
		{Name: "remove-idempotency-keys", Every: time.Hour, Run: a.ForgetRequests},
		{Name: "remove-verifications", Every: time.Hour, Run: a.Verifications.Forget},
		{Name: "copy-audit-heads", Every: time.Hour, Run: a.Audit.CopyHeads},
		{Name: "send-alert-digests", Every: digestPoll, Run: a.sendDigests},
		{Name: "remove-mail", Every: time.Hour, Run: a.Mail.RemoveOld},
		{Name: "remove-anonymous-attempts", Every: time.Hour, Run: a.Audit.RemoveOldAttempts},
	}
}

// partitionJobs add partitions to tables that grow. A profile without partitions leaves them out.
func (a *App) partitionJobs() []jobs.Job {
	if a.database.IsPortable() {
		return nil
	}
	return []jobs.Job{{
		Name:    "add-partitions",
		Every:   time.Hour,
		Run:     a.Audit.AddPartitions,
		Failure: "partitions for the next months could not be added; the next run tries again",
	}}
}

// instanceJobs run on every instance.
func (a *App) instanceJobs() []jobs.Job {
	return []jobs.Job{
		{
			Name:        "relay-events",
			Every:       a.eventPoll,
			Run:         a.Events.Relay,
			PerInstance: true,
			Quiet:       true,
			Failure:     "events could not be moved; they wait in the outbox",
			Wake:        a.Events.Published(),
			Gather:      a.Events.Gather,
		},
		{
			Name:        "load-revocations",
			Every:       time.Second,
			Run:         a.loadRevocations,
			PerInstance: true,
			Quiet:       true,
			Failure:     "revoked access tokens could not be loaded; all access tokens will be refused soon",
			Wake:        a.Access.Revocations.Announced(),
		},
		{
			Name:        "encrypt-webhook-secrets",
			Every:       time.Hour,
			Run:         a.Events.EncryptSecrets,
			PerInstance: true,
			Failure:     "secrets of webhooks could not be encrypted with the present key",
		},
		{
			Name:        "seal-audit-events",
			Every:       time.Second,
			Run:         a.Audit.EnterAndSeal,
			PerInstance: true,
			Quiet:       true,
			Failure:     "audit events could not be sealed; they wait",
			Wake:        a.Audit.Recorded(),
			Gather:      jobs.Gather(sealGather),
		},
		{
			Name:        "find-suspicious-access",
			Every:       5 * time.Second,
			Run:         a.Audit.FindAlerts,
			PerInstance: true,
			AtStop:      true,
			Failure:     "alerts about suspicious access could not be recorded; they are recorded later",
		},
		{
			Name:        "write-anonymous-attempts",
			Every:       5 * time.Second,
			Run:         a.Audit.WriteAttempts,
			PerInstance: true,
			AtStop:      true,
		},
		{Name: "publish-reminders", Every: 30 * time.Second, Run: a.remind, PerInstance: true, AtStop: true},
		{Name: "write-api-key-uses", Every: time.Minute, Run: a.Access.APIKeys.WriteUses, PerInstance: true, AtStop: true},
	}
}

// deliveryJobs send messages to other systems and to people, on every instance.
func (a *App) deliveryJobs() []jobs.Job {
	return []jobs.Job{
		{
			Name:        "deliver-webhooks",
			Every:       a.eventPoll,
			Run:         a.Events.Deliver,
			PerInstance: true,
			Quiet:       true,
			Failure:     "the due webhooks could not be loaded; they wait",
			Wake:        a.Events.Due(),
		},
		{
			Name:        "answer-password-reset-requests",
			Every:       mailPoll,
			Run:         a.Access.Passwords.SendRequested,
			PerInstance: true,
			Quiet:       true,
			Failure:     "requests for a new password could not be answered; they wait",
			Wake:        a.Access.Passwords.Requested(),
		},
		{
			Name:        "send-mail",
			Every:       mailPoll,
			Run:         a.Mail.Send,
			PerInstance: true,
			Quiet:       true,
			Failure:     "due mail could not be claimed or stored; it waits",
			Wake:        a.Mail.Due(),
		},
	}
}

// exportJobs send the audit trail to other systems, if there are any.
func (a *App) exportJobs() []jobs.Job {
	if len(a.config.SIEM) == 0 {
		return nil
	}
	return []jobs.Job{{
		Name:    "send-audit-events",
		Every:   siemInterval,
		Run:     a.Audit.SendToSIEM,
		Quiet:   true,
		Failure: "audit events could not be sent to the SIEM; they are sent later",
	}}
}

// RunJobs runs the background jobs when they are due, or only the named ones, until the context ends
// and their work has stopped.
func (a *App) RunJobs(ctx context.Context, names ...string) {
	a.jobs.Run(ctx, names...)
	a.Events.WaitForDeliveries()
}

func (a *App) loadRevocations(ctx context.Context) (int64, error) {
	return 0, a.Access.Revocations.LoadRevocations(ctx)
}

func (a *App) remind(ctx context.Context) (int64, error) {
	published, err := a.Appointments.Remind(ctx, a.config.Reminders)
	return int64(published), err
}

// ForgetRequests removes the stored results of requests that can no longer be repeated, and returns
// the number of removed rows.
func (a *App) ForgetRequests(ctx context.Context) (int64, error) {
	return a.Commands.Forget(ctx, a.config.IdempotencyRetention)
}
