package appointments

import (
	"context"
	"net/http"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *BookingService) weekdayRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/appointments/:id/change-weekdays",
			Permission: permission.AppointmentReschedule, RecordScopes: appointmentOwners.Scopes(),
			Name: "changeWeekdays", Summary: "Change the weekdays of a series",
			Description: "Changes the SCHEDULED appointments of the series from this one on, in one transaction: all or none. " +
				"`{from, to}` moves the appointments of a weekday to another day of the same week, which begins on Monday. " +
				"`{to}` books an additional appointment in each week and needs `appointment:book`. `{from}` cancels the " +
				"appointments of the weekday and needs `appointment:cancel`. New ones are like this appointment. Each is checked " +
				"like a booking. Appointments that were moved by hand to another weekday or time of day are kept; `occurrences` " +
				"has them too.",
			Refusals: []*fault.Error{ErrNotFound, ErrSeries},
			Endpoint: httpx.Handle(http.StatusOK, s.handleChangeWeekdays),
		},
		{
			Method: http.MethodPost, Path: "/appointments/:id/change-weekdays/preview",
			Permission: permission.AppointmentPreview, RecordScopes: appointmentOwners.Scopes(), ReadOnly: true,
			Reads: subjectAppointment,
			Name:  "previewChangeWeekdays", Summary: "Preview a change of weekdays",
			Description: "Returns the decision that `POST /appointments/{id}/change-weekdays` would make right now, for each " +
				"appointment. Nothing is written or reserved.",
			Refusals: []*fault.Error{ErrNotFound},
			Endpoint: httpx.Handle(http.StatusOK, s.handlePreviewWeekdays),
		},
	}
}

// weekdayChangeBody replaces a weekday of a series.
type weekdayChangeBody struct {
	From Weekday `json:"from"` // The weekday of the appointments. Without it, new ones are booked.
	To   Weekday `json:"to"`   // The new weekday of the appointments. Without it, they are cancelled.
}

type weekdaysBody struct {
	// The changes of weekdays, each weekday once.
	Weekdays []weekdayChangeBody `json:"weekdays" validate:"required,min=1,max=7"`
}

func (b weekdaysBody) changes() []WeekdayChange {
	changes := make([]WeekdayChange, len(b.Weekdays))
	for i, w := range b.Weekdays {
		changes[i] = WeekdayChange(w)
	}
	return changes
}

type changeWeekdaysRequest struct {
	byID
	command.Keyed
	weekdaysBody
}

// changedWeekdaysBody has the appointments of a series after a change of weekdays.
type changedWeekdaysBody struct {
	command.Replayed `json:"-"`

	weekdayCounts
	Occurrences []Occurrence `json:"occurrences"` // The appointments from the named one on, sorted by start.
}

// weekdayCounts has the numbers of appointments by their actions.
type weekdayCounts struct {
	Kept      int `json:"kept"`      // The number of appointments that do not change.
	Moved     int `json:"moved"`     // The number of appointments that move.
	Booked    int `json:"booked"`    // The number of new appointments.
	Cancelled int `json:"cancelled"` // The number of cancelled appointments.
	Units     int `json:"units"`     // The units of all these appointments after the change.
}

func weekdayCountsOf(occurrences []Occurrence) weekdayCounts {
	var c weekdayCounts
	for _, o := range occurrences {
		switch o.Action {
		case OccurrenceKept:
			c.Kept++
		case OccurrenceMoved:
			c.Moved++
		case OccurrenceBooked:
			c.Booked++
		case OccurrenceCancelled:
			c.Cancelled++
		}
		c.Units += o.Units
	}
	return c
}

func (s *BookingService) handleChangeWeekdays(
	ctx context.Context, in changeWeekdaysRequest,
) (changedWeekdaysBody, error) {
	o, err := s.ChangeWeekdays(ctx, in.ID, in.changes(), in.Key)
	return changedWeekdaysBody{
		Replayed: command.Replayed(o.Replayed), weekdayCounts: weekdayCountsOf(o.Occurrences),
		Occurrences: append([]Occurrence{}, o.Occurrences...),
	}, err
}

type previewWeekdaysRequest struct {
	byID
	weekdaysBody
}

// weekdaysPreviewBody is the result of a preview.
type weekdaysPreviewBody struct {
	Changeable bool `json:"changeable"` // Whether all appointments break no rule.
	weekdayCounts
	Occurrences []Occurrence `json:"occurrences"` // The appointments from the named one on, sorted by start.
}

func (s *BookingService) handlePreviewWeekdays(
	ctx context.Context, in previewWeekdaysRequest,
) (weekdaysPreviewBody, error) {
	occurrences, err := s.PreviewWeekdays(ctx, in.ID, in.changes())
	b := weekdaysPreviewBody{
		Changeable: true, weekdayCounts: weekdayCountsOf(occurrences), Occurrences: append([]Occurrence{}, occurrences...),
	}
	for _, o := range occurrences {
		b.Changeable = b.Changeable && len(o.Reasons) == 0
	}
	return b, err
}
