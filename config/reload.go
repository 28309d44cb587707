package config

import (
	"maps"
	"slices"
)

// Reload returns the configuration of a running program after a change to next. Only keys that can
// change without a restart are taken from next; [ReloadableKeys] lists them. changed are the keys that
// take effect now, and waiting are the changed keys that need a restart. Both are in the order of
// config.example.yaml.
func (c Config) Reload(next Config) (running Config, changed, waiting []string) {
	running = c
	running.settings, running.secretTexts = slices.Clone(c.settings), maps.Clone(c.secretTexts)
	for i, k := range keys {
		switch {
		case k.show(c) == k.show(next) && c.secretTexts[k.name] == next.secretTexts[k.name]:
		case k.reload == nil, k.reloads != nil && !k.reloads(c, next):
			waiting = append(waiting, k.name)
		default:
			k.reload(&running, next)
			running.settings[i] = next.settings[i]
			if k.secret {
				running.secretTexts[k.name] = next.secretTexts[k.name]
			}
			changed = append(changed, k.name)
		}
	}
	return running, changed, waiting
}

// ReloadableKeys lists the keys that can change without a restart.
func ReloadableKeys() []string {
	var names []string
	for _, k := range keys {
		if k.reload != nil {
			names = append(names, k.name)
		}
	}
	return names
}
