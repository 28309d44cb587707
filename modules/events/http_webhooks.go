package events

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

// webhookBody is an address of another system that receives an organization's events.
type webhookBody struct {
	OrganizationID uuid.UUID `json:"organizationId"`
	ID             uuid.UUID `json:"id"`
	URL            string    `json:"url"` // The address that receives the events.
	// The types of the events, sorted. If it is empty, all types are sent.
	Types []string `json:"types"`
	// Whether events are sent. An inactive webhook does not store events for later.
	Active    bool      `json:"active"`
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	// The user who created the webhook, last set its URL or types, or last confirmed it. The
	// webhook receives the events that this user may currently read, as long as the user could
	// create it. Null if there is no such user; then nothing is sent.
	AnsweredBy *uuid.UUID `json:"answeredBy"`
}

// Location returns the path of the webhook.
func (b webhookBody) Location() string { return "/api/v1/admin/webhooks/" + b.ID.String() }

// Revision returns the version, which the API returns as ETag.
func (b webhookBody) Revision() int { return b.Version }

func webhookBodyOf(w Webhook) webhookBody {
	return webhookBody{
		OrganizationID: w.OrganizationID, ID: w.ID, URL: w.URL, Types: w.Types, Active: w.Active, Version: w.Version,
		CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt, AnsweredBy: w.AnsweredBy,
	}
}

// webhookWithSecretBody is a webhook with its new secret, which is shown only once.
type webhookWithSecretBody struct {
	webhookBody
	// The secret that signs the requests. Null in the response to a retry with the same
	// Idempotency-Key, because the secret is not stored. In that case rotate the secret.
	Revealed httpx.Secret `json:"secret"`
}

func webhookWithSecretBodyOf(w WebhookWithSecret) webhookWithSecretBody {
	return webhookWithSecretBody{webhookBodyOf(w.Webhook), w.Revealed}
}

// NewWebhook is the request for a webhook.
type NewWebhook struct {
	URL string `json:"url" validate:"required,max=2000"` // The address that receives the events.
	// The types of the events. If it is empty, all types are sent.
	Types  []string `json:"types" validate:"max=50"`
	Active *bool    `json:"active"` // Whether events are sent. The default is true.
}

// WebhookChange changes the given fields of a webhook. Types are replaced as a whole.
type WebhookChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	// The address that receives the events.
	URL patch.Field[string] `json:"url" validate:"omitempty,max=2000"`
	// The types of the events. They replace the previous ones.
	Types  patch.Field[[]string] `json:"types" validate:"omitempty,max=50"`
	Active patch.Field[bool]     `json:"active"` // Whether events are sent.
}

// TestResult is the outcome of one test event.
type TestResult struct {
	// The header `webhook-id` of the request.
	MessageID string `json:"messageId"`
	// Whether the receiver answered with a 2xx status.
	Delivered bool `json:"delivered"`
	// The HTTP status of the receiver's response. Null if there was none.
	Status *int `json:"status"`
	// The reason why the event was not delivered, in the words of `lastError`.
	Error *string `json:"error"`
	// The duration of the request.
	DurationMilliseconds int64 `json:"durationMilliseconds"`
}

type byID struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
}

func (s *Service) handleWebhooks(ctx context.Context, in struct{ httpx.PageQuery }) (httpx.Page[webhookBody], error) {
	var after uuid.UUID
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[webhookBody]{}, err
	}
	found, err := s.Webhooks(ctx, after, in.Size()+1)
	return httpx.PageOf(in.PageQuery, found, webhookBodyOf, func(w Webhook) any { return w.ID }), err
}

func (s *Service) handleWebhook(ctx context.Context, in struct {
	ID uuid.UUID `param:"id"`
},
) (webhookBody, error) {
	found, err := s.Webhook(ctx, in.ID)
	return webhookBodyOf(found), err
}

func (s *Service) handleCreateWebhook(ctx context.Context, in NewWebhook) (webhookWithSecretBody, error) {
	created, err := s.CreateWebhook(ctx, in)
	return webhookWithSecretBodyOf(created), err
}

func (s *Service) handleChangeWebhook(ctx context.Context, in WebhookChange) (webhookBody, error) {
	changed, err := s.ChangeWebhook(ctx, in)
	return webhookBodyOf(changed), err
}

func (s *Service) handleDeleteWebhook(ctx context.Context, in byID) (httpx.None, error) {
	return httpx.None{}, s.DeleteWebhook(ctx, in.ID, in.Match)
}

func (s *Service) handleRotateSecret(ctx context.Context, in byID) (webhookWithSecretBody, error) {
	changed, err := s.RotateSecret(ctx, in.ID, in.Match)
	return webhookWithSecretBodyOf(changed), err
}

func (s *Service) handleTestWebhook(ctx context.Context, in struct {
	ID uuid.UUID `param:"id"`
},
) (TestResult, error) {
	return s.TestWebhook(ctx, in.ID)
}

func (s *Service) webhookRoutes() []httpx.Route {
	return []httpx.Route{
		route("createWebhook", http.MethodPost, webhookPath, httpx.Handle(http.StatusCreated, s.handleCreateWebhook),
			"Create a webhook", "Events of the given types are sent to the URL as POST requests, signed according to Standard "+
				"Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`). The secret is returned only in this answer. "+
				"The caller must hold the permissions of the types, or of all types if none are given, for the whole "+
				"organization, and becomes responsible for the webhook (`answeredBy`). Events that the responsible user may not "+
				"read, or no longer with `webhook:manage`, are withheld.",
			identity.ErrBeyondOwn, ErrTooManyWebhooks),
		route("listWebhooks", http.MethodGet, webhookPath, httpx.Handle(http.StatusOK, s.handleWebhooks),
			"List webhooks", "All webhooks of the organization, without their secrets."),
		route("getWebhook", http.MethodGet, webhookPath+"/:id", httpx.Handle(http.StatusOK, s.handleWebhook),
			"Get a webhook", "One webhook, without its secret.",
			ErrWebhookNotFound),
		route("changeWebhook", http.MethodPatch, webhookPath+"/:id", httpx.Handle(http.StatusOK, s.handleChangeWebhook),
			"Change a webhook", "A merge patch: fields that are not given stay unchanged. Events that happen while a "+
				"webhook is "+
				"inactive are never sent to it. To set the URL, the types or `active: true`, the caller must hold the "+
				"permissions of its types, and becomes responsible for the webhook (`answeredBy`). `active: true` also sends "+
				"withheld events.",
			ErrWebhookNotFound, identity.ErrBeyondOwn),
		route("deleteWebhook", http.MethodDelete, webhookPath+"/:id",
			httpx.Handle(http.StatusNoContent, s.handleDeleteWebhook),
			"Delete a webhook", "No further events are sent to it, including pending ones.",
			ErrWebhookNotFound),
		route("rotateWebhookSecret", http.MethodPost, webhookPath+"/:id/rotate-secret",
			httpx.Handle(http.StatusOK, s.handleRotateSecret),
			"Rotate a webhook's secret",
			"All requests from now on are signed with the new secret, which is returned only in this answer. The caller must "+
				"hold the permissions of the webhook's types, because the secret allows requests in the organization's name.",
			ErrWebhookNotFound, identity.ErrBeyondOwn),
		momentary(route("testWebhook", http.MethodPost, webhookPath+"/:id/test",
			httpx.Handle(http.StatusOK, s.handleTestWebhook),
			"Send a test event to a webhook", "Sends one signed event of the type `webhook.test` to the URL now, and "+
				"answers with the outcome: "+
				"200 also when the receiver cannot be reached. The webhook can be inactive. "+
				"Its deliveries do not change, and the event is not sent again. "+
				"An organization tests one webhook at a time. Each request sends an event: an `Idempotency-Key` makes no "+
				"difference.",
			ErrWebhookNotFound, ErrTooManyWebhookTests)),
	}
}

// route returns a route for callers who manage webhooks.
func route(
	name, method, path string, endpoint httpx.Endpoint, summary, description string, refusals ...*fault.Error,
) httpx.Route {
	return httpx.Route{
		Name: name, Method: method, Path: path, Permission: permission.WebhookManage, Endpoint: endpoint,
		Summary: summary, Description: description, Refusals: refusals,
	}
}

// momentary marks a POST whose answer is not stored for repeated requests.
func momentary(r httpx.Route) httpx.Route {
	r.Momentary = true
	return r
}

const webhookPath = "/admin/webhooks"
