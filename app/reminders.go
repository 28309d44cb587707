package app

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"
)

// remindEvery is how late a reminder may be.
const remindEvery = 30 * time.Second

// remind publishes reminders when they are due, until the context ends.
func (a *App) remind(ctx context.Context) {
	ticker := time.NewTicker(remindEvery)
	defer ticker.Stop()
	for {
		told, err := a.Appointments.Remind(ctx, a.config.Reminders)
		log := a.logger.WithFields(logrus.Fields{"event": "reminders_told", "reminders": told})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.WithError(err).Warn("some reminders could not be told; the next round tries again")
		case told > 0:
			log.Info("reminders were told")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
