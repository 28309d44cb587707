package app

import (
	"github.com/sirupsen/logrus"

	"omnirapeutic/config"
	"omnirapeutic/platform/db/pgurl"
)

// ReloadConfiguration applies a changed configuration to the serving program, and informs systemd. See
// [App.Reload].
func (p *Program) ReloadConfiguration(next config.Config, l *Listeners) {
	p.warnOf(p.Notifier.Reloading())
	p.Reload(next)
	p.warnOf(p.Notifier.Ready(p.servingStatus(l)))
}

// Reload applies the settings that can change without a restart, and logs the others that have
// changed. Requests that are running keep the old values. A changed rate limit starts its counts
// again. The certificate is not reloaded here but by its own watch. Not safe for concurrent use.
func (a *App) Reload(next config.Config) {
	before := *a.running.Load()
	running, changed, waiting := before.Reload(next)
	a.running.Store(&running)
	if running.HTTP.UserRate != before.HTTP.UserRate || running.HTTP.TokenRate != before.HTTP.TokenRate {
		a.server.setRates(running.HTTP)
	}
	if running.HTTP.FailureRate != before.HTTP.FailureRate {
		a.failures.set(running.HTTP.FailureRate)
	}
	a.server.setProxies(running.HTTP)
	a.setPasswords(before.Database, running.Database)
	a.logger.WithFields(logrus.Fields{"event": "configuration_reloaded", "settings": changed}).
		Info("the configuration was reloaded")
	if len(waiting) > 0 {
		a.logger.WithFields(logrus.Fields{"event": "restart_needed", "settings": waiting}).
			Warn("these settings have changed and take effect with a restart")
	}
}

// setPasswords makes new connections use changed passwords of the database and of its standby for reads.
func (a *App) setPasswords(before, running config.Database) {
	if password, changed := pgurl.ChangedPassword(before.URL.Reveal(), running.URL.Reveal()); changed {
		a.database.SetPassword(password)
	}
	if password, changed := pgurl.ChangedPassword(before.ReplicaURL.Reveal(), running.ReplicaURL.Reveal()); changed {
		a.database.SetStandbyPassword(password)
	}
}
