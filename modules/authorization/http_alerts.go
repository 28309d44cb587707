package authorization

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *AlertService) alertRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/alerts", Permission: permission.ReportRead, RecordScopes: owners.Scopes(),
			Reads: Subject,
			Name:  "listAlerts", Summary: "List alerts",
			Description: "The worklist: authorizations that end soon or have ended without a renewal, are running out of " +
				"units, or are under-used. An alert is computed: it is open while its condition holds, and closes when a renewal " +
				"is entered or the condition no longer holds. Sorted by end date, earliest first.",
			Eventual: true, Endpoint: httpx.Handle(http.StatusOK, s.handleAlerts),
		},
		{
			Method: http.MethodPost, Path: "/alerts/:id/acknowledge",
			Permission: permission.AlertAcknowledge, RecordScopes: owners.Scopes(),
			Name: "acknowledgeAlert", Summary: "Acknowledge an alert",
			Description: "Records the first user who acknowledges the alert. The alert stays open until its condition no " +
				"longer holds. The authorization's next alert, such as `expiring-30` after `expiring-60`, is unacknowledged. An " +
				"alert becomes unacknowledged again when the end date or the total changes.",
			Refusals: []*fault.Error{ErrAlertNotFound},
			Endpoint: httpx.Handle(http.StatusOK, s.handleAcknowledge),
		},
	}
}

// alertBody is an alert of the worklist.
type alertBody struct {
	// The id, made of the authorization's id and the kind.
	ID              string        `json:"id"`
	Kind            AlertKind     `json:"kind"` // The kind of the alert.
	AuthorizationID uuid.UUID     `json:"authorizationId"`
	PatientID       uuid.UUID     `json:"patientId"`
	InsuranceID     *uuid.UUID    `json:"insuranceId"`
	ServiceCodeID   uuid.UUID     `json:"serviceCodeId"`
	AuthNumber      *string       `json:"authNumber"`
	StartDate       calendar.Date `json:"startDate"`
	EndDate         calendar.Date `json:"endDate"`
	// The number of days until the last day. It is 0 on that day and negative after it.
	DaysLeft       int `json:"daysLeft"`
	TotalUnits     int `json:"totalUnits"`
	UsedUnits      int `json:"usedUnits"`
	ScheduledUnits int `json:"scheduledUnits"`
	AvailableUnits int `json:"availableUnits"`
	// The user who acknowledged the alert. Null if it is not acknowledged.
	AcknowledgedBy *uuid.UUID `json:"acknowledgedBy"`
	AcknowledgedAt *time.Time `json:"acknowledgedAt"` // The time of the acknowledgement.
	utilizationReferences
}

func alertBodyOf(a Alert) alertBody {
	return alertBody{
		ID: a.ID(), Kind: a.Kind, AuthorizationID: a.View.ID, PatientID: a.PatientID, InsuranceID: a.InsuranceID,
		ServiceCodeID: a.ServiceCodeID, AuthNumber: a.AuthNumber, StartDate: a.StartDate, EndDate: a.EndDate,
		DaysLeft:   a.DaysLeft,
		TotalUnits: a.Total, UsedUnits: a.Used, ScheduledUnits: a.Scheduled, AvailableUnits: a.Available(),
		AcknowledgedBy: a.AcknowledgedBy, AcknowledgedAt: a.AcknowledgedAt,
	}
}

type alertsRequest struct {
	httpx.PageQuery
	// The kinds of the alerts.
	Kind []string `query:"kind" validate:"dive,oneof=expired expiring-14 expiring-30 expiring-60 used-100 used-90 used-80 under-used"`
	// Whether the alerts are acknowledged.
	Acknowledged *bool `query:"acknowledged"`
}

func (s *AlertService) handleAlerts(ctx context.Context, in alertsRequest) (httpx.Page[alertBody], error) {
	f := AlertFilter{Kinds: kindsOf(in.Kind), Acknowledged: in.Acknowledged, Limit: in.Size() + 1}
	if err := in.DecodeCursor(&f.After); err != nil {
		return httpx.Page[alertBody]{}, err
	}
	found, err := s.Alerts(ctx, f)
	page := httpx.PageOf(in.PageQuery, found, alertBodyOf, func(a Alert) any {
		return EndPosition{EndDate: a.EndDate, ID: a.View.ID, Group: groupOf(a.Kind)}
	})
	return shown(ctx, page, func(b alertBody) (uuid.UUID, uuid.UUID) { return b.AuthorizationID, b.PatientID }), err
}

type acknowledgeRequest struct {
	ID string `param:"id"`
}

func (s *AlertService) handleAcknowledge(ctx context.Context, in acknowledgeRequest) (alertBody, error) {
	a, err := s.Acknowledge(ctx, in.ID)
	if err != nil {
		return alertBody{}, err
	}
	return alertBodyOf(a), nil
}
