package events

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/httpx"
)

// deliveryBody is the delivery of one event to one webhook.
type deliveryBody struct {
	Position   int64         `json:"id"`        // The id of the event.
	Type       string        `json:"type"`      // The type of the event.
	SubjectID  uuid.UUID     `json:"subjectId"` // The changed record.
	OccurredAt time.Time     `json:"occurredAt"`
	State      DeliveryState `json:"state"`    // The state of the delivery.
	Attempts   int           `json:"attempts"` // The number of attempts so far.
	// The time of the next attempt. Null unless the delivery is pending.
	NextAttemptAt *time.Time `json:"nextAttemptAt"`
	LastAttemptAt *time.Time `json:"lastAttemptAt"` // The time of the last attempt.
	// The HTTP status of the receiver's last response. Null if there was none.
	LastStatus *int    `json:"lastStatus"`
	LastError  *string `json:"lastError"` // The reason why the last attempt failed.
}

func deliveryBodyOf(d Delivery) deliveryBody { return deliveryBody(d) }

type deliveriesQuery struct {
	httpx.PageQuery
	ID uuid.UUID `param:"id"`
	// The state of the deliveries.
	State DeliveryState `query:"state" validate:"omitempty,oneof=PENDING DELIVERED DEAD WITHHELD"`
}

func (s *Service) handleDeliveries(ctx context.Context, in deliveriesQuery) (httpx.Page[deliveryBody], error) {
	var after int64
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[deliveryBody]{}, err
	}
	found, err := s.Deliveries(ctx, in.ID, in.State, after, in.Size()+1)
	return httpx.PageOf(in.PageQuery, found, deliveryBodyOf, func(d Delivery) any { return d.Position }), err
}

type redeliverRequest struct {
	ID         uuid.UUID `param:"id"`
	DeliveryID int64     `param:"deliveryId"` // The id of the delivery.
}

func (s *Service) handleRedeliver(ctx context.Context, in redeliverRequest) (deliveryBody, error) {
	sent, err := s.Redeliver(ctx, in.ID, in.DeliveryID)
	return deliveryBodyOf(sent), err
}

func (s *Service) deliveryRoutes() []httpx.Route {
	return []httpx.Route{
		route("listDeliveries", http.MethodGet, webhookPath+"/:id/deliveries",
			httpx.Handle(http.StatusOK, s.handleDeliveries),
			"List the deliveries of a webhook",
			"Deliveries of events that the caller may read, with their attempts and the receiver's last response. "+
				"`state=DEAD` lists deliveries whose attempts all failed, `state=WITHHELD` lists events that the responsible "+
				"user could "+
				"not read when they were due.",
			ErrWebhookNotFound),
		route("redeliver", http.MethodPost, webhookPath+"/:id/deliveries/:deliveryId/redeliver",
			httpx.Handle(http.StatusOK, s.handleRedeliver),
			"Send an event to a webhook again",
			"Sends the event again, in any state, with all attempts of a new one. Only events that the caller may read are "+
				"found.",
			ErrWebhookNotFound, ErrDeliveryNotFound),
	}
}
