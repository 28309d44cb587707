package authorization

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// AlertService returns and acknowledges alerts.
type AlertService struct{ base }

// Alert is one item of the worklist. An alert is computed, not stored: it is open while its
// condition holds.
type Alert struct {
	View
	Kind     AlertKind
	DaysLeft int // until the last day; negative after it
	// AcknowledgedBy is the user who acknowledged the alert; nil: not acknowledged.
	AcknowledgedBy *uuid.UUID
	AcknowledgedAt *time.Time
}

// ID returns the alert's id, made of the authorization's id and the kind: alerts are not stored.
func (a Alert) ID() string { return a.View.ID.String() + "." + string(a.Kind) }

// alertOf parses an [Alert.ID].
func alertOf(id string) (authorization uuid.UUID, kind AlertKind, ok bool) {
	text, name, _ := strings.Cut(id, ".")
	authorization, err := uuid.Parse(text)
	kind = AlertKind(name)
	return authorization, kind, err == nil && text == authorization.String() && slices.Contains(AlertKinds(), kind)
}

// AlertFilter narrows the worklist. Zero values do not filter.
type AlertFilter struct {
	Kinds        []AlertKind
	Acknowledged *bool
	After        *EndPosition
	Limit        int
}

// Alerts returns the open alerts, sorted by the end dates of their authorizations.
func (s *AlertService) Alerts(ctx context.Context, f AlertFilter) ([]Alert, error) {
	if len(f.Kinds) == 0 {
		f.Kinds = AlertKinds()
	}
	return read(ctx, s.base, "alert.list", func(ctx context.Context, at Moment) ([]Alert, error) {
		found, err := s.store.alerts(ctx, reportQuery{
			from: at.Today.AddDays(-expiredDays), until: at.Today.AddDays(expiringDays),
			kinds: f.Kinds, acknowledged: f.Acknowledged, after: f.After, limit: f.Limit,
		}, at)
		all := make([]Alert, len(found))
		for i, r := range found {
			all[i] = r.alertOn(at.Today)
		}
		return all, err
	})
}

func (r alertRow) alertOn(today calendar.Date) Alert {
	return Alert{r.viewOn(today), r.Kind, r.EndDate.DaysSince(today), r.AcknowledgedBy, r.AcknowledgedAt}
}

// Acknowledge records that the caller has acknowledged an open alert, and returns it. The first
// acknowledgement is kept. If the end date or the total changes, the alert is unacknowledged again.
// The error is [ErrAlertNotFound].
func (s *AlertService) Acknowledge(ctx context.Context, alert string) (Alert, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Alert{}, err
	}
	id, kind, ok := alertOf(alert)
	if !ok {
		return Alert{}, ErrAlertNotFound
	}
	return db.Serializable(ctx, s.Database, "alert.acknowledge", func(ctx context.Context) (Alert, error) {
		at, err := s.moment(ctx, caller.OrganizationID)
		if err != nil {
			return Alert{}, err
		}
		a, err := s.openAlert(ctx, id, kind, at)
		if err != nil || a.AcknowledgedBy != nil { // also if an earlier attempt has done it
			return a.alertOn(at.Today), err
		}
		a.AcknowledgedBy, a.AcknowledgedAt = &caller.UserID, &at.Now
		noted := Acknowledgement{
			OrganizationID: caller.OrganizationID, AuthorizationID: id, Kind: kind,
			EndDate: a.EndDate, TotalUnits: a.Total, AcknowledgedBy: caller.UserID, AcknowledgedAt: at.Now,
		}
		if err := s.store.acknowledge(ctx, noted); err != nil {
			return Alert{}, err
		}
		e := trail.By(caller)
		e.Action, e.SubjectType, e.SubjectID, e.PatientID, e.OccurredAt = "alert.acknowledge", Subject, id, new(a.PatientID),
			at.Now
		e.After = acknowledged{kind, a.EndDate, a.Total}
		return a.alertOn(at.Today), s.Audit.Record(ctx, []trail.Event{e})
	})
}

// acknowledged is the audit trail's record of an acknowledgement: the alert's kind.
type acknowledged struct {
	Kind       AlertKind     `json:"kind"`
	EndDate    calendar.Date `json:"endDate"`
	TotalUnits int           `json:"totalUnits"`
}

// openAlert returns the alert if it is open. The error is [ErrAlertNotFound].
func (s *AlertService) openAlert(ctx context.Context, id uuid.UUID, kind AlertKind, at Moment) (alertRow, error) {
	a, err := s.store.current(ctx, id, at.Now)
	open := false
	if err == nil {
		open, err = s.isOpen(ctx, a, kind, at)
	}
	if errors.Is(err, ErrNotFound) || err == nil && !open {
		err = ErrAlertNotFound
	}
	if err != nil {
		return alertRow{}, err
	}
	r := alertRow{Authorization: a, Kind: kind}
	noted, err := s.store.acknowledgement(ctx, id, kind)
	if noted != nil && noted.EndDate == a.EndDate && noted.TotalUnits == a.Total {
		r.AcknowledgedBy, r.AcknowledgedAt = &noted.AcknowledgedBy, &noted.AcknowledgedAt
	}
	return r, err
}

func (s *AlertService) isOpen(ctx context.Context, a Authorization, kind AlertKind, at Moment) (bool, error) {
	switch kind {
	case a.usageOn(at.Today):
		return true, nil
	case AlertUnderUsed:
		return a.underUsedOn(at.Today), nil
	case a.expiryOn(at.Today):
		renewed, err := s.store.renewed(ctx, a)
		return !renewed, err
	}
	return false, nil
}
