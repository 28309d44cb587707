package authorization

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

func (s *Service) alertRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/alerts", Permission: PermissionReport, Limited: owners.Scopes(), Reads: subject,
			Name: "listAlerts", Summary: "List what needs attention",
			Description: "The worklist: authorizations that end soon or have ended without a renewal, whose units run out, or that are under-used. An alert is there while that is so: nothing has to open it, and it goes by itself when a renewal is entered or the reason is gone. What ends first is at the beginning.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleAlerts),
		},
		{
			Method: http.MethodPost, Path: "/alerts/:id/acknowledge", Permission: PermissionAcknowledge, Limited: owners.Scopes(),
			Name: "acknowledgeAlert", Summary: "Take note of an alert",
			Description: "Notes that somebody is on it; who did so first stays. The alert remains until its reason is gone. The next one of the authorization, such as `expiring-30` after `expiring-60`, comes without a note, and so does the same one once the last day or the total has changed.",
			Refusals:    []*fault.Error{ErrAlertNotFound},
			Endpoint:    httpx.Handle(http.StatusOK, s.handleAcknowledge),
		},
	}
}

// alertBody is an item of the worklist.
type alertBody struct {
	ID              string        `json:"id"` // of the authorization and the kind
	Kind            AlertKind     `json:"kind"`
	AuthorizationID uuid.UUID     `json:"authorizationId"`
	PatientID       uuid.UUID     `json:"patientId"`
	InsuranceID     *uuid.UUID    `json:"insuranceId"`
	ServiceCodeID   uuid.UUID     `json:"serviceCodeId"`
	AuthNumber      *string       `json:"authNumber"`
	StartDate       calendar.Date `json:"startDate"`
	EndDate         calendar.Date `json:"endDate"`
	DaysLeft        int           `json:"daysLeft"` // until the last day; 0 on it, negative after it
	TotalUnits      int           `json:"totalUnits"`
	UsedUnits       int           `json:"usedUnits"`
	ScheduledUnits  int           `json:"scheduledUnits"`
	AvailableUnits  int           `json:"availableUnits"`
	AcknowledgedBy  *uuid.UUID    `json:"acknowledgedBy"` // the user who has taken note of it; null: nobody has
	AcknowledgedAt  *time.Time    `json:"acknowledgedAt"`
}

func alertBodyOf(a Alert) alertBody {
	return alertBody{
		ID: a.ID(), Kind: a.Kind, AuthorizationID: a.View.ID, PatientID: a.PatientID, InsuranceID: a.InsuranceID,
		ServiceCodeID: a.ServiceCodeID, AuthNumber: a.AuthNumber, StartDate: a.StartDate, EndDate: a.EndDate, DaysLeft: a.DaysLeft,
		TotalUnits: a.Total, UsedUnits: a.Used, ScheduledUnits: a.Scheduled, AvailableUnits: a.Available(),
		AcknowledgedBy: a.AcknowledgedBy, AcknowledgedAt: a.AcknowledgedAt,
	}
}

type alertsRequest struct {
	httpx.PageQuery
	Kind         []string `query:"kind" validate:"dive,oneof=expired expiring-14 expiring-30 expiring-60 used-100 used-90 used-80 under-used"`
	Acknowledged *bool    `query:"acknowledged"` // only those that somebody has taken note of, or only those that nobody has
}

func (s *Service) handleAlerts(ctx context.Context, in alertsRequest) (httpx.Page[alertBody], error) {
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

func (s *Service) handleAcknowledge(ctx context.Context, in acknowledgeRequest) (alertBody, error) {
	a, err := s.Acknowledge(ctx, in.ID)
	if err != nil {
		return alertBody{}, err
	}
	return alertBodyOf(a), nil
}
