package authorization

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
)

func (s *Service) reportRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/reports/utilization", Permission: PermissionReport, Limited: owners.Scopes(), Reads: subject,
			Name: "reportUtilization", Summary: "Report how authorizations are used",
			Description: "One row for each authorization, as of today in the organization's time zone: what was authorized (`totalUnits`), used, scheduled and is left (`availableUnits`), how fast it goes, and what may be expected of the rest. Ordered as they were entered, unless `sort` says otherwise. JSON, or CSV with `Accept: text/csv` or `format=csv`.",
			Endpoint:    httpx.HandleTable(s.handleUtilization),
		},
		{
			Method: http.MethodGet, Path: "/reports/utilization/totals", Permission: PermissionReport, Limited: owners.Scopes(),
			Name: "reportTotals", Summary: "Sum up authorizations",
			Description: "The units of all authorizations that the same filters of the report on utilization find. A call of its own: it reads every one of them, and takes longer the more there are.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleTotals),
		},
		{
			Method: http.MethodGet, Path: "/reports/expiring", Permission: PermissionReport, Limited: owners.Scopes(), Reads: subject,
			Name: "reportExpiring", Summary: "Report authorizations that end soon",
			Description: "Those in force that end today or within `withinDays`, those that end first at the beginning, and whether something takes their place: another active authorization for the same patient and service that begins before the end or on the day after, and lasts longer. JSON, or CSV with `Accept: text/csv` or `format=csv`.",
			Endpoint:    httpx.HandleTable(s.handleExpiring),
		},
		{
			Method: http.MethodGet, Path: "/reports/at-risk", Permission: PermissionReport, Limited: owners.Scopes(), Reads: subject,
			Name: "reportAtRisk", Summary: "Report authorizations that run out early, or are left over",
			Description: "Those in force of whose units 80 %, 90 % or all are used or scheduled, and those that are under-used: half of the days are gone, and `pacePercent` is below 80. Those that end first are at the beginning. JSON, or CSV with `Accept: text/csv` or `format=csv`.",
			Endpoint:    httpx.HandleTable(s.handleAtRisk),
		},
	}
}

// utilizationBody is the report of one authorization. Percentages are cut to one
// decimal, so that 100 means all; rates are rounded to one decimal, half up. Days
// are counted with the first and the last, and today counts as gone by.
type utilizationBody struct {
	AuthorizationID uuid.UUID     `json:"authorizationId"`
	PatientID       uuid.UUID     `json:"patientId"`
	InsuranceID     *uuid.UUID    `json:"insuranceId"`
	ServiceCodeID   uuid.UUID     `json:"serviceCodeId"`
	AuthNumber      *string       `json:"authNumber"`
	Status          Status        `json:"status"`
	StartDate       calendar.Date `json:"startDate"`
	EndDate         calendar.Date `json:"endDate"`
	TotalUnits      int           `json:"totalUnits"`     // authorized
	UsedUnits       int           `json:"usedUnits"`      // consumed by sessions
	ScheduledUnits  int           `json:"scheduledUnits"` // reserved for what has not happened yet
	AvailableUnits  int           `json:"availableUnits"` // remaining: neither used nor scheduled
	UsedPercent     *float64      `json:"usedPercent"`    // usedUnits of totalUnits; null where there are none
	BookedPercent   *float64      `json:"bookedPercent"`  // usedUnits + scheduledUnits of totalUnits; null where there are none
	// The days until today of all days: 0 before the first day, 100 from the last on.
	ElapsedPercent float64 `json:"elapsedPercent"`
	// The share of the units that are used, of the share of the days that are gone: with 100 the units are used up on the last day. Null without units, and before the first day.
	PacePercent *float64 `json:"pacePercent"`
	// Units a week: usedUnits × 7 ÷ the days that are gone. Null before the first day.
	AverageUnitsPerWeek *float64 `json:"averageUnitsPerWeek"`
	// The same of the last 28 days, or of all that are gone where there are fewer: units consumed, by the date of the service. Null when it is not within the dates.
	RecentUnitsPerWeek *float64 `json:"recentUnitsPerWeek"`
	// The day at whose end no unit will be left. First what is scheduled is used, the last of it on the last date for which there is a reservation; what is available then goes at the recent rate, from the next day on. Null where that is not before the authorization's end, where everything is used already, and where it is not granted or has ended.
	ProjectedExhaustionDate calendar.Date `json:"projectedExhaustionDate" null:"true"`
	// How many units will be left after the last day in the same projection, its use at the recent rate rounded to whole units, half up; what is available, once it has ended. Null where it is not granted.
	ProjectedUnusedUnits *int `json:"projectedUnusedUnits"`
	// The last day for which one more unit can be reserved: the last day of all that no cap closes. Null where nothing is available, or it is not granted.
	LastBookableDate calendar.Date `json:"lastBookableDate" null:"true"`
}

func utilizationBodyOf(u Utilization) utilizationBody {
	return utilizationBody{
		AuthorizationID: u.ID, PatientID: u.PatientID, InsuranceID: u.InsuranceID, ServiceCodeID: u.ServiceCodeID,
		AuthNumber: u.AuthNumber, Status: u.Status, StartDate: u.StartDate, EndDate: u.EndDate,
		TotalUnits: u.Total, UsedUnits: u.Used, ScheduledUnits: u.Scheduled, AvailableUnits: u.Available(),
		UsedPercent: u.UsedPercent, BookedPercent: u.BookedPercent, ElapsedPercent: u.ElapsedPercent, PacePercent: u.PacePercent,
		AverageUnitsPerWeek: u.AverageWeekly, RecentUnitsPerWeek: u.RecentWeekly,
		ProjectedExhaustionDate: u.ExhaustedOn, ProjectedUnusedUnits: u.UnusedAtEnd, LastBookableDate: u.LastBookable,
	}
}

// about returns the authorization and the patient that the row is about.
func (b utilizationBody) about() (authorization, patient uuid.UUID) {
	return b.AuthorizationID, b.PatientID
}

// utilizationFilter are the filters of the report and of its totals.
type utilizationFilter struct {
	PatientID     uuid.UUID     `query:"patientId"`
	ServiceCodeID uuid.UUID     `query:"serviceCodeId"`
	InsuranceID   uuid.UUID     `query:"insuranceId"`
	PayerID       uuid.UUID     `query:"payerId"` // of the insurance
	Status        []string      `query:"status" validate:"dive,oneof=PENDING ACTIVE CANCELLED UPCOMING EXPIRED EXHAUSTED"`
	InForceOn     calendar.Date `query:"inForceOn"` // a day within the dates
}

func (f utilizationFilter) filter() Filter {
	found := Filter{
		PatientID: f.PatientID, ServiceCodeID: f.ServiceCodeID, InsuranceID: f.InsuranceID, PayerID: f.PayerID, InForceOn: f.InForceOn,
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

func (s *Service) handleUtilization(ctx context.Context, in utilizationRequest) (httpx.Page[utilizationBody], error) {
	f := in.filter()
	order, positionOf := sortedBy(in.Sort)
	f.Page = order
	f.Page.Limit = in.Size() + 1
	if err := in.DecodeCursor(&f.Page.After); err != nil {
		return httpx.Page[utilizationBody]{}, err
	}
	found, err := s.Utilization(ctx, f)
	page := httpx.PageOf(in.PageQuery, found, utilizationBodyOf, func(u Utilization) any { return positionOf(u.View) })
	return shown(ctx, page, utilizationBody.about), err
}

// totalsBody are sums over authorizations, in units.
type totalsBody struct {
	Authorizations int `json:"authorizations"` // how many there are
	TotalUnits     int `json:"totalUnits"`
	UsedUnits      int `json:"usedUnits"`
	ScheduledUnits int `json:"scheduledUnits"`
	AvailableUnits int `json:"availableUnits"`
	// usedUnits of totalUnits, cut to one decimal; null where there are none.
	UsedPercent *float64 `json:"usedPercent"`
	// usedUnits + scheduledUnits of totalUnits, likewise.
	BookedPercent *float64 `json:"bookedPercent"`
}

func (s *Service) handleTotals(ctx context.Context, in utilizationFilter) (totalsBody, error) {
	t, err := s.UtilizationTotals(ctx, in.filter())
	body := totalsBody{
		Authorizations: t.Authorizations, TotalUnits: t.Total, UsedUnits: t.Used, ScheduledUnits: t.Scheduled, AvailableUnits: t.Available(),
	}
	if t.Total > 0 {
		body.UsedPercent, body.BookedPercent = new(percent(t.Used, t.Total)), new(percent(t.Used+t.Scheduled, t.Total))
	}
	return body, err
}

type expiringRequest struct {
	httpx.TableQuery
	WithinDays int   `query:"withinDays" validate:"omitempty,min=1,max=365"` // 60 where it is not given
	Renewed    *bool `query:"renewed"`                                       // only those that have a renewal, or only those that have none
}

// expiringBody is the report of an authorization that ends soon.
type expiringBody struct {
	utilizationBody
	DaysLeft  int        `json:"daysLeft"`  // until the last day; 0 on it
	Band      *int       `json:"band"`      // 14, 30 or 60: it ends within so many days; null: later
	RenewalID *uuid.UUID `json:"renewalId"` // the authorization that takes its place; null: there is none
}

func (s *Service) handleExpiring(ctx context.Context, in expiringRequest) (httpx.Page[expiringBody], error) {
	var after *EndPosition
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[expiringBody]{}, err
	}
	if in.WithinDays == 0 {
		in.WithinDays = expiringDays
	}
	found, err := s.Expiring(ctx, in.WithinDays, in.Renewed, after, in.Size()+1)
	body := func(e Expiring) expiringBody {
		return expiringBody{utilizationBodyOf(e.Utilization), e.DaysLeft, orNull(bandOf(e.DaysLeft)), e.RenewalID}
	}
	page := httpx.PageOf(in.PageQuery, found, body, func(e Expiring) any { return EndPosition{EndDate: e.EndDate, ID: e.ID} })
	return shown(ctx, page, expiringBody.about), err
}

// orNull makes 0 nothing.
func orNull(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

type atRiskRequest struct {
	httpx.TableQuery
	// Risk narrows the report to these; all of them where it is not given.
	Risk []string `query:"risk" validate:"dive,oneof=used-80 used-90 used-100 under-used"`
}

// atRiskBody is the report of an authorization that runs out early, or is left over.
type atRiskBody struct {
	utilizationBody
	UsageBand *int `json:"usageBand"` // 100, 90 or 80: so many percent or more are used or scheduled; null: fewer
	UnderUsed bool `json:"underUsed"` // half of the days are gone, and pacePercent is below 80
}

func (s *Service) handleAtRisk(ctx context.Context, in atRiskRequest) (httpx.Page[atRiskBody], error) {
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
	page := httpx.PageOf(in.PageQuery, found, body, func(r AtRisk) any { return EndPosition{EndDate: r.EndDate, ID: r.ID} })
	return shown(ctx, page, atRiskBody.about), err
}

func kindsOf(names []string) []AlertKind {
	var kinds []AlertKind
	for _, name := range names {
		kinds = append(kinds, AlertKind(name))
	}
	return kinds
}
