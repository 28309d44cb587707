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

// Alert is one item of the worklist. It is open while its condition holds: nothing
// opens or closes it.
type Alert struct {
	View
	Kind     AlertKind
	DaysLeft int // until the last day; negative after it
	// AcknowledgedBy has taken note of it; nil: nobody has.
	AcknowledgedBy *uuid.UUID
	AcknowledgedAt *time.Time
}

// ID names the alert: it is made of what it is about, as alerts are not stored.
func (a Alert) ID() string { return a.View.ID.String() + "." + string(a.Kind) }

// alertOf reads [Alert.ID].
func alertOf(id string) (authorization uuid.UUID, kind AlertKind, ok bool) {
	text, name, _ := strings.Cut(id, ".")
	authorization, err := uuid.Parse(text)
	kind = AlertKind(name)
	return authorization, kind, err == nil && text == authorization.String() && slices.Contains(AlertKinds(), kind)
}

// AlertFilter narrows the worklist; zero values do not narrow it.
type AlertFilter struct {
	Kinds        []AlertKind
	Acknowledged *bool
	After        *EndPosition
	Limit        int
}

// Alerts returns the open alerts, by the last days of their authorizations.
func (s *Service) Alerts(ctx context.Context, f AlertFilter) ([]Alert, error) {
	if len(f.Kinds) == 0 {
		f.Kinds = AlertKinds()
	}
	return read(ctx, s, "alert.list", func(ctx context.Context, at Moment) ([]Alert, error) {
		found, err := s.store.alerts(ctx, question{
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

func (r raised) alertOn(today calendar.Date) Alert {
	return Alert{r.viewOn(today), r.Kind, r.EndDate.DaysSince(today), r.AcknowledgedBy, r.AcknowledgedAt}
}

// Acknowledge notes that the caller has taken note of an open alert, and returns
// it. Who did so first stays. With another last day or another total it is another
// alert, which nobody has taken note of. The error is [ErrAlertNotFound].
func (s *Service) Acknowledge(ctx context.Context, alert string) (Alert, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Alert{}, err
	}
	id, kind, ok := alertOf(alert)
	if !ok {
		return Alert{}, ErrAlertNotFound
	}
	return db.Serializable(ctx, s.database, "alert.acknowledge", func(ctx context.Context) (Alert, error) {
		at, err := s.moment(ctx, caller.OrganizationID)
		if err != nil {
			return Alert{}, err
		}
		a, err := s.openAlert(ctx, id, kind, at)
		if err != nil || a.AcknowledgedBy != nil { // where an attempt before this one has done it, too
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
		e.Action, e.SubjectType, e.SubjectID, e.PatientID, e.OccurredAt = "alert.acknowledge", subject, id, new(a.PatientID), at.Now
		e.After = acknowledged{kind, a.EndDate, a.Total}
		return a.alertOn(at.Today), s.audit.Record(ctx, []trail.Event{e})
	})
}

// acknowledged is what the trail keeps of an acknowledgement: which alert it was.
type acknowledged struct {
	Kind       AlertKind     `json:"kind"`
	EndDate    calendar.Date `json:"endDate"`
	TotalUnits int           `json:"totalUnits"`
}

// openAlert returns the alert if it is open. The error is [ErrAlertNotFound].
func (s *Service) openAlert(ctx context.Context, id uuid.UUID, kind AlertKind, at Moment) (raised, error) {
	a, err := s.store.current(ctx, id, at.Now)
	open := false
	if err == nil {
		open, err = s.isOpen(ctx, a, kind, at)
	}
	if errors.Is(err, ErrNotFound) || err == nil && !open {
		err = ErrAlertNotFound
	}
	if err != nil {
		return raised{}, err
	}
	r := raised{Authorization: a, Kind: kind}
	noted, err := s.store.acknowledgement(ctx, id, kind)
	if noted != nil && noted.EndDate == a.EndDate && noted.TotalUnits == a.Total {
		r.AcknowledgedBy, r.AcknowledgedAt = &noted.AcknowledgedBy, &noted.AcknowledgedAt
	}
	return r, err
}

func (s *Service) isOpen(ctx context.Context, a Authorization, kind AlertKind, at Moment) (bool, error) {
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
