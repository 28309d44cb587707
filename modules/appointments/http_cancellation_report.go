package appointments

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *ScheduleService) cancellationReportRoutes() []httpx.Route {
	return []httpx.Route{{
		Method: http.MethodGet, Path: "/reports/cancellations",
		Permission: permission.ReportRead, RecordScopes: missedOwners.Scopes(), Reads: "patient",
		Name: "reportCancellations", Summary: "Report cancellations and make-ups",
		Description: "Returns the number of cancellations, of late ones and of no-shows, the missed time, and how much of it " +
			"is made up, planned or left. One row for each reason, party, patient, leading practitioner or month (`groupBy`). " +
			"Appointments count by their service dates, from `from` to `to`, at most 366 days. The default is the last 30 " +
			"days. Appointments of a group count once, and minutes and units once for each patient. JSON, or CSV with " +
			"`Accept: text/csv` or `format=csv`.",
		Eventual: true, Endpoint: httpx.HandleTable(s.handleCancellations),
	}}
}

// missedGroupBody has the sums of a group of missed appointments.
type missedGroupBody struct {
	// The reason, if the rows are grouped by it. Null: none was given.
	CancellationReasonID *uuid.UUID `json:"cancellationReasonId"`
	ReasonName           *string    `json:"reasonName"` // The name of the reason.
	// The party that cancelled, if the rows are grouped by it. Null: none was given.
	CancellationParty *directory.Party `json:"cancellationParty"`
	// The patient, if the rows are grouped by patient.
	PatientID *uuid.UUID `json:"patientId"`
	// The leading practitioner, if the rows are grouped by practitioner.
	PractitionerID *uuid.UUID `json:"practitionerId"`
	// The month, such as 2026-03, if the rows are grouped by month.
	Month             *string `json:"month"`
	Cancellations     int     `json:"cancellations"`     // The cancelled appointments.
	LateCancellations int     `json:"lateCancellations"` // The cancelled appointments whose cancellation was late.
	NoShows           int     `json:"noShows"`           // The appointments to which the patient did not come.
	MissedMinutes     int     `json:"missedMinutes"`     // The booked minutes.
	MissedUnits       int     `json:"missedUnits"`       // The booked units.
	MadeUpMinutes     int     `json:"madeUpMinutes"`     // The minutes of completed make-ups.
	MadeUpUnits       int     `json:"madeUpUnits"`       // The units of completed make-ups.
	PlannedMinutes    int     `json:"plannedMinutes"`    // The minutes of open make-ups.
	PlannedUnits      int     `json:"plannedUnits"`      // The units of open make-ups.
	LeftMinutes       int     `json:"leftMinutes"`       // The minutes that are neither made up nor planned.
	LeftUnits         int     `json:"leftUnits"`         // The units that are neither made up nor planned.
	missedGroupReferences
}

func missedGroupBodyOf(by CancellationGroup) func(g MissedGroup) missedGroupBody {
	return func(g MissedGroup) missedGroupBody {
		b := missedGroupBody{
			Cancellations: g.Cancellations, LateCancellations: g.LateCancellations, NoShows: g.NoShows,
			MissedMinutes: g.MissedMinutes, MissedUnits: g.MissedUnits, MadeUpMinutes: g.MadeUpMinutes,
			MadeUpUnits: g.MadeUpUnits, PlannedMinutes: g.PlannedMinutes, PlannedUnits: g.PlannedUnits,
			LeftMinutes: g.LeftMinutes, LeftUnits: g.LeftUnits,
		}
		if g.GroupKey == "" {
			return b
		}
		switch by {
		case GroupByReason:
			b.CancellationReasonID = new(uuid.MustParse(g.GroupKey))
			if g.Reason != nil {
				b.ReasonName = &g.Reason.Name
			}
		case GroupByParty:
			b.CancellationParty = new(directory.Party(g.GroupKey))
		case GroupByPatient:
			b.PatientID = new(uuid.MustParse(g.GroupKey))
		case GroupByPractitioner:
			b.PractitionerID = new(uuid.MustParse(g.GroupKey))
		case GroupByMonth:
			b.Month = &g.GroupKey
		}
		return b
	}
}

type cancellationsRequest struct {
	httpx.TableQuery
	within
	// The property by which the rows are grouped. The default is the reason.
	GroupBy        string    `query:"groupBy" validate:"omitempty,oneof=reason party patient practitioner month"`
	PatientID      uuid.UUID `query:"patientId"`
	PractitionerID uuid.UUID `query:"practitionerId"` // The leading practitioner.
	// The reason of the cancellations.
	CancellationReasonID uuid.UUID `query:"cancellationReasonId"`
	// The party that cancelled.
	Party directory.Party `query:"party" validate:"omitempty,oneof=FAMILY STAFF CLINIC PAYER OTHER"`
}

func (s *ScheduleService) handleCancellations(
	ctx context.Context, in cancellationsRequest,
) (httpx.Page[missedGroupBody], error) {
	f := CancellationFilter{
		GroupBy: CancellationGroup(in.GroupBy), Days: in.days(), PatientID: in.PatientID,
		PractitionerID: in.PractitionerID, ReasonID: in.CancellationReasonID, Party: in.Party, Limit: in.Size() + 1,
	}
	if f.GroupBy == "" {
		f.GroupBy = GroupByReason
	}
	if err := in.DecodeCursor(&f.After); err != nil {
		return httpx.Page[missedGroupBody]{}, err
	}
	found, err := s.Cancellations(ctx, f)
	return httpx.PageOf(in.PageQuery, found, missedGroupBodyOf(f.GroupBy),
		func(g MissedGroup) any { return GroupPosition{g.GroupKey} }), err
}
