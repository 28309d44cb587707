package events

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	const created, ok, gone = http.StatusCreated, http.StatusOK, http.StatusNoContent
	route := func(method, path string, permission identity.Permission, summary string, endpoint httpx.Endpoint) httpx.Route {
		return httpx.Route{Method: method, Path: path, Permission: permission, Summary: summary, Endpoint: endpoint}
	}
	const manage, webhooks = PermissionWebhooks, "/admin/webhooks"
	return []httpx.Route{
		route("GET", "/events", httpx.SignedIn, "Listen to what happens", httpx.Stream(s.tuning.Patience, s.listen)),

		route("POST", webhooks, manage, "Enter a webhook", httpx.Handle(created, s.CreateWebhook)),
		route("GET", webhooks, manage, "List webhooks", httpx.Handle(ok, s.handleWebhooks)),
		route("GET", webhooks+"/:id", manage, "Read a webhook", httpx.Handle(ok, s.handleWebhook)),
		route("PATCH", webhooks+"/:id", manage, "Change a webhook", httpx.Handle(ok, s.ChangeWebhook)),
		route("DELETE", webhooks+"/:id", manage, "Delete a webhook", httpx.Handle(gone, s.handleDeleteWebhook)),
		route("POST", webhooks+"/:id/rotate-secret", manage, "Give a webhook a new secret", httpx.Handle(ok, s.handleRotateSecret)),
		route("GET", webhooks+"/:id/deliveries", manage, "List what was sent to a webhook, or will be", httpx.Handle(ok, s.handleDeliveries)),
		route("POST", webhooks+"/:id/deliveries/:deliveryId/redeliver", manage, "Send an event to a webhook again", httpx.Handle(ok, s.handleRedeliver)),
	}
}

type streamRequest struct {
	LastEventID *int64   `header:"Last-Event-ID" validate:"omitempty,min=0"`
	After       *int64   `query:"lastEventId" validate:"omitempty,min=0"` // for a first connect: programs cannot always set headers
	Types       []string `query:"types" validate:"max=50"`
}

// position is the header's where both are given: a reader that comes back sends
// it beside the URL with which it first came.
func (r streamRequest) position() *int64 {
	if r.LastEventID != nil {
		return r.LastEventID
	}
	return r.After
}

type byID struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
}

func (s *Service) handleWebhooks(ctx context.Context, in struct{ httpx.PageQuery }) (httpx.Page[Webhook], error) {
	var after uuid.UUID
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[Webhook]{}, err
	}
	found, err := s.Webhooks(ctx, after, in.Size()+1)
	return httpx.PageOf(found, in.Size(), func(w Webhook) Webhook { return w }, func(w Webhook) any { return w.ID }), err
}

func (s *Service) handleWebhook(ctx context.Context, in struct {
	ID uuid.UUID `param:"id"`
}) (Webhook, error) {
	return s.Webhook(ctx, in.ID)
}

func (s *Service) handleDeleteWebhook(ctx context.Context, in byID) (httpx.None, error) {
	return httpx.None{}, s.DeleteWebhook(ctx, in.ID, in.Match)
}

func (s *Service) handleRotateSecret(ctx context.Context, in byID) (WebhookWithSecret, error) {
	return s.RotateSecret(ctx, in.ID, in.Match)
}

type deliveriesQuery struct {
	httpx.PageQuery
	ID    uuid.UUID     `param:"id"`
	State DeliveryState `query:"state" validate:"omitempty,oneof=PENDING DELIVERED DEAD"`
}

func (s *Service) handleDeliveries(ctx context.Context, in deliveriesQuery) (httpx.Page[Delivery], error) {
	var after int64
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[Delivery]{}, err
	}
	found, err := s.Deliveries(ctx, in.ID, in.State, after, in.Size()+1)
	return httpx.PageOf(found, in.Size(), func(d Delivery) Delivery { return d }, func(d Delivery) any { return d.Position }), err
}

type redeliverRequest struct {
	ID         uuid.UUID `param:"id"`
	DeliveryID int64     `param:"deliveryId"`
}

func (s *Service) handleRedeliver(ctx context.Context, in redeliverRequest) (Delivery, error) {
	return s.Redeliver(ctx, in.ID, in.DeliveryID)
}
