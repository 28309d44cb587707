package app

import (
	"context"

	"omnirapeutic/platform/outbox"
)

// publisher publishes the events of modules that are created before the module events.
type publisher struct{ app *App }

// Publish implements [outbox.Publisher].
func (p publisher) Publish(ctx context.Context, messages []outbox.Message) error {
	return p.app.Events.Publish(ctx, messages)
}
