package authorization

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *ReportService) reportRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/reports/utilization",
			Permission: permission.ReportRead, RecordScopes: owners.Scopes(), Reads: Subject,
			Name: "reportUtilization", Summary: "Report utilization",
			Description: "Returns one row per authorization, as of today in the organization's time zone: the authorized " +
				"(`totalUnits`), used, scheduled and available units, the rate of use, and a projection. Sorted by creation " +
				"unless `sort` is given. JSON, or CSV with `Accept: text/csv` or `format=csv`.",
			Eventual: true, Endpoint: httpx.HandleTable(s.handleUtilization),
		},
		{
			Method: http.MethodGet, Path: "/reports/utilization/totals",
			Permission: permission.ReportRead, RecordScopes: owners.Scopes(),
			Name: "reportTotals", Summary: "Get utilization totals",
			Description: "Returns the sums over all authorizations that match the filters of the utilization report. It reads " +
				"every matching authorization, so its duration grows with their number.",
			Eventual: true, Endpoint: httpx.Handle(http.StatusOK, s.handleTotals),
		},
		{
			Method: http.MethodGet, Path: "/reports/expiring",
			Permission: permission.ReportRead, RecordScopes: owners.Scopes(), Reads: Subject,
			Name: "reportExpiring", Summary: "Report expiring authorizations",
			Description: "Returns the authorizations in force that end today or within `withinDays`, earliest end first, and " +
				"their renewals. A renewal is another active authorization for the same patient and service that begins no later " +
				"than the day after the end, and ends later. JSON, or CSV with `Accept: text/csv` or `format=csv`.",
			Eventual: true, Endpoint: httpx.HandleTable(s.handleExpiring),
		},
		{
			Method: http.MethodGet, Path: "/reports/at-risk",
			Permission: permission.ReportRead, RecordScopes: owners.Scopes(), Reads: Subject,
			Name: "reportAtRisk", Summary: "Report authorizations at risk",
			Description: "Returns the authorizations in force with at least 80 %, 90 % or 100 % of their units used or " +
				"scheduled, and the under-used ones: at least half of the days have elapsed, and `pacePercent` is below 80. " +
				"Sorted by end date, earliest first. JSON, or CSV with `Accept: text/csv` or `format=csv`.",
			Eventual: true, Endpoint: httpx.HandleTable(s.handleAtRisk),
		},
	}
}

// utilizationBody is the utilization of one authorization. Percentages are truncated to one
// decimal, so 100 means all; rates are rounded to one decimal, half up. Day counts include the
// first day and the last, and today counts as elapsed.
type utilizationBody struct {
	AuthorizationID uuid.UUID  `json:"authorizationId"`
	PatientID       uuid.UUID  `json:"patientId"`
	InsuranceID     *uuid.UUID `json:"insuranceId"`
	ServiceCodeID   uuid.UUID  `json:"serviceCodeId"`
	AuthNumber      *string    `json:"authNumber"`
	// The status of the authorization.
	Status         Status        `json:"status"`
	StartDate      calendar.Date `json:"startDate"`
	EndDate        calendar.Date `json:"endDate"`
	TotalUnits     int           `json:"totalUnits"`
	UsedUnits      int           `json:"usedUnits"`
	ScheduledUnits int           `json:"scheduledUnits"`
	AvailableUnits int           `json:"availableUnits"`
	// The used units as a percentage of the total. Null if the total is 0.
	UsedPercent *float64 `json:"usedPercent"`
	// The used and scheduled units as a percentage of the total. Null if the total is 0.
	BookedPercent *float64 `json:"bookedPercent"`
	// The elapsed days as a percentage of all days. It is 0 before the first day, and 100 from
	// the last day on.
	ElapsedPercent float64 `json:"elapsedPercent"`
	// The share of units used divided by the share of days elapsed. At 100, the units are used up
	// on the last day. Null without units, and before the first day.
	PacePercent *float64 `json:"pacePercent"`
	// The units per week: usedUnits × 7 ÷ elapsed days. Null before the first day.
	AverageUnitsPerWeek *float64 `json:"averageUnitsPerWeek"`
	// The units per week over the last 28 elapsed days, or all elapsed days if there are
	// fewer. It counts consumed units by service date. Null if today is outside the dates.
	RecentUnitsPerWeek *float64 `json:"recentUnitsPerWeek"`
	// The projected day after which no units are left. The projection assumes that all scheduled
	// units are used by the last reserved date, and that the available units are then used at the
	// recent rate. Null if that is not before the authorization's end, if no units are left
	// already, and if the authorization is not granted or has ended.
	ProjectedExhaustionDate calendar.Date `json:"projectedExhaustionDate" null:"true"`
	// The units left after the last day in the same projection. The use at the recent rate is
	// rounded to whole units, half up. If the authorization has ended, these are the available
	// units. Null if it is not granted.
	ProjectedUnusedUnits *int `json:"projectedUnusedUnits"`
	// The last day for which one more unit can be reserved: the last day of the authorization that
	// no cap closes. Null if no units are available or it is not granted.
	LastBookableDate calendar.Date `json:"lastBookableDate" null:"true"`
	utilizationReferences
}

func utilizationBodyOf(u Utilization) utilizationBody {
	return utilizationBody{
		AuthorizationID: u.ID, PatientID: u.PatientID, InsuranceID: u.InsuranceID, ServiceCodeID: u.ServiceCodeID,
		AuthNumber: u.AuthNumber, Status: u.Status, StartDate: u.StartDate, EndDate: u.EndDate,
		TotalUnits: u.Total, UsedUnits: u.Used, ScheduledUnits: u.Scheduled, AvailableUnits: u.Available(),
		UsedPercent: u.UsedPercent, BookedPercent: u.BookedPercent, ElapsedPercent: u.ElapsedPercent,
		PacePercent:         u.PacePercent,
		AverageUnitsPerWeek: u.AverageWeekly, RecentUnitsPerWeek: u.RecentWeekly,
		ProjectedExhaustionDate: u.ExhaustedOn, ProjectedUnusedUnits: u.UnusedAtEnd, LastBookableDate: u.LastBookable,
	}
}

// subjects returns the row's authorization and patient.
func (b utilizationBody) subjects() (authorization, patient uuid.UUID) {
	return b.AuthorizationID, b.PatientID
}

// utilizationFilter has the filters of the utilization report and its totals.
type utilizationFilter struct {
	PatientID     uuid.UUID `query:"patientId"`
	ServiceCodeID uuid.UUID `query:"serviceCodeId"`
	InsuranceID   uuid.UUID `query:"insuranceId"`
	// The payer of the insurance.
	PayerID uuid.UUID `query:"payerId"`
	// The statuses of the authorizations.
	Status []string `query:"status" validate:"dive,oneof=PENDING ACTIVE CANCELLED UPCOMING EXPIRED EXHAUSTED"`
	// A day within the authorization's dates.
	InForceOn calendar.Date `query:"inForceOn"`
}

func (f utilizationFilter) filter() Filter {
	found := Filter{
		PatientID: f.PatientID, ServiceCodeID: f.ServiceCodeID, InsuranceID: f.InsuranceID, PayerID: f.PayerID,
		InForceOn: f.InForceOn,
	}
	for _, status := range f.Status {
		found.Statuses = append(found.Statuses, Status(status))
	}
	return found
}

type utilizationRequest struct {
	httpx.TableQuery
	utilizationFilter
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt startDate -startDate endDate -endDate"`
}

func (s *ReportService) handleUtilization(
	ctx context.Context, in utilizationRequest,
) (httpx.Page[utilizationBody], error) {
	f := in.filter()
	order, positionOf := sortedBy(in.Sort)
	f.Page = order
	f.Page.Limit = in.Size() + 1
	if err := in.DecodeCursor(&f.Page.After); err != nil {
		return httpx.Page[utilizationBody]{}, err
	}
	found, err := s.Utilization(ctx, f)
	page := httpx.PageOf(in.PageQuery, found, utilizationBodyOf, func(u Utilization) any { return positionOf(u.View) })
	return shown(ctx, page, utilizationBody.subjects), err
}

// totalsBody has sums over authorizations, in units.
type totalsBody struct {
	Authorizations int `json:"authorizations"` // The number of authorizations.
	TotalUnits     int `json:"totalUnits"`
	UsedUnits      int `json:"usedUnits"`
	ScheduledUnits int `json:"scheduledUnits"`
	AvailableUnits int `json:"availableUnits"`
	// The used units as a percentage of the total, truncated to one decimal. Null if the total
	// is 0.
	UsedPercent *float64 `json:"usedPercent"`
	// The used and scheduled units as a percentage of the total, truncated to one decimal.
	// Null if the total is 0.
	BookedPercent *float64 `json:"bookedPercent"`
}

func (s *ReportService) handleTotals(ctx context.Context, in utilizationFilter) (totalsBody, error) {
	t, err := s.UtilizationTotals(ctx, in.filter())
	body := totalsBody{
		Authorizations: t.Authorizations, TotalUnits: t.Total, UsedUnits: t.Used, ScheduledUnits: t.Scheduled,
		AvailableUnits: t.Available(),
	}
	if t.Total > 0 {
		body.UsedPercent, body.BookedPercent = new(percent(t.Used, t.Total)), new(percent(t.Used+t.Scheduled, t.Total))
	}
	return body, err
}

type expiringRequest struct {
	httpx.TableQuery
	// The number of days. The default is 60.
	WithinDays int `query:"withinDays" validate:"omitempty,min=1,max=365"`
	// Whether the authorizations have a renewal.
	Renewed *bool `query:"renewed"`
}

// expiringBody is the report of an authorization that ends soon.
type expiringBody struct {
	utilizationBody
	DaysLeft int `json:"daysLeft"` // The number of days until the last day. It is 0 on that day.
	// The number of days within which the authorization ends: 14, 30 or 60. Null if it ends
	// later.
	Band      *int       `json:"band"`
	RenewalID *uuid.UUID `json:"renewalId"` // The authorization that replaces it. Null if there is none.
	renewalReference
}

func (s *ReportService) handleExpiring(ctx context.Context, in expiringRequest) (httpx.Page[expiringBody], error) {
	var after *EndPosition
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[expiringBody]{}, err
	}
	if in.WithinDays == 0 {
		in.WithinDays = expiringDays
	}
	found, err := s.Expiring(ctx, in.WithinDays, in.Renewed, after, in.Size()+1)
	body := func(e Expiring) expiringBody {
		return expiringBody{utilizationBodyOf(e.Utilization), e.DaysLeft, orNull(bandOf(e.DaysLeft)), e.RenewalID, renewalReference{}}
	}
	page := httpx.PageOf(in.PageQuery, found, body, func(e Expiring) any {
		return EndPosition{EndDate: e.EndDate, ID: e.ID}
	})
	return shown(ctx, page, expiringBody.subjects), err
}

// orNull returns a pointer to n, or nil for 0.
func orNull(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

type atRiskRequest struct {
	httpx.TableQuery
	// The risks to report. The default is all.
	Risk []string `query:"risk" validate:"dive,oneof=used-80 used-90 used-100 under-used"`
}

// atRiskBody is the report of an authorization that runs out early or is under-used.
type atRiskBody struct {
	utilizationBody
	// The percentage that is at least used or scheduled: 100, 90 or 80. Null if it is less.
	UsageBand *int `json:"usageBand"`
	// Whether at least half of the days have elapsed, and pacePercent is below 80.
	UnderUsed bool `json:"underUsed"`
}

func (s *ReportService) handleAtRisk(ctx context.Context, in atRiskRequest) (httpx.Page[atRiskBody], error) {
	var after *EndPosition
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[atRiskBody]{}, err
	}
	kinds := kindsOf(in.Risk)
	if len(kinds) == 0 {
		kinds = []AlertKind{AlertUsed80, AlertUsed90, AlertUsed100, AlertUnderUsed}
	}
	found, err := s.AtRisk(ctx, kinds, after, in.Size()+1)
	body := func(r AtRisk) atRiskBody {
		return atRiskBody{utilizationBodyOf(r.Utilization), orNull(r.UsageBand), r.UnderUsed}
	}
	page := httpx.PageOf(in.PageQuery, found, body, func(r AtRisk) any {
		return EndPosition{EndDate: r.EndDate, ID: r.ID}
	})
	return shown(ctx, page, atRiskBody.subjects), err
}

func kindsOf(names []string) []AlertKind {
	var kinds []AlertKind
	for _, name := range names {
		kinds = append(kinds, AlertKind(name))
	}
	return kinds
}
