package events

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	const created, ok, gone = http.StatusCreated, http.StatusOK, http.StatusNoContent
	const webhooks = "/admin/webhooks"
	var all []httpx.Route
	add := func(name, method, path string, endpoint httpx.Endpoint, summary, description string, refusals ...*fault.Error) {
		all = append(all, httpx.Route{
			Name: name, Method: method, Path: path, Permission: permission.WebhookManage, Endpoint: endpoint,
			Summary: summary, Description: description, Refusals: refusals,
		})
	}
	all = append(all, httpx.Route{
		Reads: "event", Name: "listenToEvents", Method: http.MethodGet, Path: "/events", Permission: httpx.SignedIn,
		Summary: "Listen to events",
		Description: "Server-sent events about changes in the caller's organization, in the order of their commits. " +
			"The stream contains the events that the caller may read. Each event has an `id`. " +
			"A client that reconnects with `Last-Event-ID` receives every later event exactly once. " +
			"The first event is `ready`, which contains the current position, or `reset` when missed events are no longer " +
			"kept: then read everything again. The stream ends when the access token expires. " +
			"The schema describes the JSON in `data`.",
		Refusals: []*fault.Error{ErrTooManyStreams}, Endpoint: httpx.Stream(s.tuning.Patience, s.listen),
	})
	add("createWebhook", http.MethodPost, webhooks, httpx.Handle(created, s.CreateWebhook),
		"Create a webhook", "Events of the given types are sent to the URL as POST requests, signed according to Standard "+
			"Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`). The secret is returned only in this answer. "+
			"The caller must hold the permissions of the types, or of all types if none are given, for the whole "+
			"organization, and becomes responsible for the webhook (`answeredBy`). Events that the responsible user may not "+
			"read, or no longer with `webhook:manage`, are withheld.",
		identity.ErrBeyondOwn, ErrTooManyWebhooks)
	add("listWebhooks", http.MethodGet, webhooks, httpx.Handle(ok, s.handleWebhooks),
		"List webhooks", "All webhooks of the organization, without their secrets.")
	add("getWebhook", http.MethodGet, webhooks+"/:id", httpx.Handle(ok, s.handleWebhook),
		"Get a webhook", "One webhook, without its secret.",
		ErrWebhookNotFound)
	add("changeWebhook", http.MethodPatch, webhooks+"/:id", httpx.Handle(ok, s.ChangeWebhook),
		"Change a webhook", "A merge patch: fields that are not given stay unchanged. Events that happen while a webhook is "+
			"inactive are never sent to it. To set the URL, the types or `active: true`, the caller must hold the "+
			"permissions of its types, and becomes responsible for the webhook (`answeredBy`). `active: true` also sends withheld events.",
		ErrWebhookNotFound, identity.ErrBeyondOwn)
	add("deleteWebhook", http.MethodDelete, webhooks+"/:id", httpx.Handle(gone, s.handleDeleteWebhook),
		"Delete a webhook", "No further events are sent to it, including pending ones.",
		ErrWebhookNotFound)
	add("rotateWebhookSecret", http.MethodPost, webhooks+"/:id/rotate-secret", httpx.Handle(ok, s.handleRotateSecret),
		"Rotate a webhook's secret",
		"All requests from now on are signed with the new secret, which is returned only in this answer. The caller must "+
			"hold the permissions of the webhook's types, because the secret allows requests in the organization's name.",
		ErrWebhookNotFound, identity.ErrBeyondOwn)
	add("testWebhook", http.MethodPost, webhooks+"/:id/test", httpx.Handle(ok, s.handleTestWebhook),
		"Send a test event to a webhook", "Sends one signed event of the type `webhook.test` to the URL now, and answers with the outcome: "+
			"200 also when the receiver cannot be reached. The webhook can be inactive. "+
			"Its deliveries do not change, and the event is not sent again. "+
			"An organization tests one webhook at a time. Each request sends an event: an `Idempotency-Key` makes no difference.",
		ErrWebhookNotFound, ErrTooManyWebhookTests)
	all[len(all)-1].Momentary = true
	add("listDeliveries", http.MethodGet, webhooks+"/:id/deliveries", httpx.Handle(ok, s.handleDeliveries),
		"List the deliveries of a webhook",
		"Deliveries of events that the caller may read, with their attempts and the receiver's last response. "+
			"`state=DEAD` lists deliveries whose attempts all failed, `state=WITHHELD` lists events that the responsible user could "+
			"not read when they were due.",
		ErrWebhookNotFound)
	add("redeliver", http.MethodPost, webhooks+"/:id/deliveries/:deliveryId/redeliver",
		httpx.Handle(ok, s.handleRedeliver),
		"Send an event to a webhook again",
		"Sends the event again, in any state, with all attempts of a new one. Only events that the caller may read are "+
			"found.",
		ErrWebhookNotFound, ErrDeliveryNotFound)
	return all
}

type streamRequest struct {
	LastEventID *int64 `header:"Last-Event-ID" validate:"omitempty,min=0"`
	// The id of the last received event, for clients that cannot set headers on the first
	// connect.
	After *int64 `query:"lastEventId" validate:"omitempty,min=0"`
	// The types of the events to stream. The default is all.
	Types []string `query:"types" validate:"max=50"`
}

// position returns the header's position if both are given: a reconnecting client sends the
// header along with its original URL.
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
	return httpx.PageOf(in.PageQuery, found, func(w Webhook) Webhook { return w }, func(w Webhook) any { return w.ID }),
		err
}

func (s *Service) handleWebhook(ctx context.Context, in struct {
	ID uuid.UUID `param:"id"`
},
) (Webhook, error) {
	return s.Webhook(ctx, in.ID)
}

func (s *Service) handleDeleteWebhook(ctx context.Context, in byID) (httpx.None, error) {
	return httpx.None{}, s.DeleteWebhook(ctx, in.ID, in.Match)
}

func (s *Service) handleRotateSecret(ctx context.Context, in byID) (WebhookWithSecret, error) {
	return s.RotateSecret(ctx, in.ID, in.Match)
}

func (s *Service) handleTestWebhook(ctx context.Context, in struct {
	ID uuid.UUID `param:"id"`
},
) (TestResult, error) {
	return s.TestWebhook(ctx, in.ID)
}

type deliveriesQuery struct {
	httpx.PageQuery
	ID uuid.UUID `param:"id"`
	// The state of the deliveries.
	State DeliveryState `query:"state" validate:"omitempty,oneof=PENDING DELIVERED DEAD WITHHELD"`
}

func (s *Service) handleDeliveries(ctx context.Context, in deliveriesQuery) (httpx.Page[Delivery], error) {
	var after int64
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[Delivery]{}, err
	}
	found, err := s.Deliveries(ctx, in.ID, in.State, after, in.Size()+1)
	return httpx.PageOf(in.PageQuery, found, func(d Delivery) Delivery { return d },
		func(d Delivery) any { return d.Position }), err
}

type redeliverRequest struct {
	ID         uuid.UUID `param:"id"`
	DeliveryID int64     `param:"deliveryId"` // The id of the delivery.
}

func (s *Service) handleRedeliver(ctx context.Context, in redeliverRequest) (Delivery, error) {
	return s.Redeliver(ctx, in.ID, in.DeliveryID)
}
