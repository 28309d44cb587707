package authorization

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// The rules of decide_risk.go in SQL; a is the authorization. A test checks that the two agree.
const (
	// grantedSQL selects granted authorizations that have begun, within the caller's record scope.
	grantedSQL = `a.organization_id = @organization AND ` + withinScope + ` AND a.status = 'ACTIVE'
		AND a.start_date <= CAST(@today AS date)`
	// pagedSQL continues after a cursor position; runningSQL does so among authorizations that have
	// not ended. The index scan begins at this position, so it is never before the first requested
	// day.
	pagedSQL   = `(a.end_date, a.id) > (CAST(@pagedDate AS date), CAST(@pagedID AS uuid))`
	runningSQL = `(a.end_date, a.id) > (CAST(@runningDate AS date), CAST(@runningID AS uuid))`
	// renewalSQL finds the renewals of an authorization: other granted authorizations for the same
	// patient and service that begin no later than the day after its end, and end later. Index:
	// authorizations_by_patient.
	renewalSQL = `SELECT n.id FROM authorizations n
		WHERE n.organization_id = a.organization_id AND n.patient_id = a.patient_id AND n.service_code_id = a.service_code_id
			AND n.status = 'ACTIVE' AND n.end_date > a.end_date AND n.start_date <= a.end_date + 1`
	expirySQL = `CASE
		WHEN a.end_date < CAST(@today AS date) THEN 'expired'
		WHEN a.end_date <= CAST(@today AS date) + 14 THEN 'expiring-14'
		WHEN a.end_date <= CAST(@today AS date) + 30 THEN 'expiring-30'
		ELSE 'expiring-60' END`
	underUsedSQL = `a.total_units > 0
		AND 2 * (CAST(@today AS date) - a.start_date + 1) >= a.end_date - a.start_date + 1
		AND CAST(a.used_units AS bigint) * (a.end_date - a.start_date + 1) * 100
			< CAST(a.total_units AS bigint) * (CAST(@today AS date) - a.start_date + 1) * 80`
)

var (
	// bookedSQL is the number of used and scheduled units, without expired holds.
	bookedSQL = `(CAST(a.used_units AS bigint) + a.scheduled_units - ` + expiredUnitsSQL("a") + `)`
	usageSQL  = `CASE
		WHEN ` + bookedSQL + ` >= a.total_units THEN 'used-100'
		WHEN ` + bookedSQL + ` * 100 >= CAST(a.total_units AS bigint) * 90 THEN 'used-90'
		WHEN ` + bookedSQL + ` * 100 >= CAST(a.total_units AS bigint) * 80 THEN 'used-80'
		ELSE '' END`
)

// withinScope is the placeholder that [store.ask] replaces with the condition of the caller's
// record scope.
const withinScope = "{within record scope}"

// EndPosition is the cursor of a list sorted by end date.
type EndPosition struct {
	EndDate calendar.Date `json:"endDate"`
	ID      uuid.UUID     `json:"id"`
	Group   int           `json:"group,omitempty"` // of alerts
}

// reportQuery has the parameters of the reports and the worklist, which are sorted by end date.
type reportQuery struct {
	from, until  calendar.Date // end dates; until: the maximum date if unlimited
	kinds        []AlertKind
	renewed      *bool // nil: with or without
	acknowledged *bool // nil: acknowledged or not
	after        *EndPosition
	limit        int
}

func (q reportQuery) arguments(organization uuid.UUID, at Moment) map[string]any {
	paged, running := q.startAt(q.from), q.startAt(at.Today)
	kinds := make([]string, len(q.kinds))
	least := 100
	for i, k := range q.kinds {
		kinds[i] = string(k)
		if band, ok := usageBands[k]; ok {
			least = min(least, band)
		}
	}
	return map[string]any{
		"organization": organization, "today": at.Today, "now": at.Now, "until": q.until,
		"pagedDate": paged.EndDate, "pagedID": paged.ID, "runningDate": running.EndDate, "runningID": running.ID,
		"limit": q.limit, "kinds": kinds, "leastBand": least,
	}
}

// startAt returns the position from which to continue: the given first day or the cursor, whichever
// is later.
func (q reportQuery) startAt(first calendar.Date) EndPosition {
	if q.after == nil || q.after.EndDate.Before(first) {
		return EndPosition{EndDate: first} // before all ids
	}
	return *q.after
}

var usageBands = map[AlertKind]int{AlertUsed100: 100, AlertUsed90: 90, AlertUsed80: 80}

// renewing is an authorization and its renewal.
type renewing struct {
	Authorization
	RenewalID *uuid.UUID
}

// expiring returns the authorizations in force that end within the requested days, sorted by end
// date. Index: authorizations_by_end.
func (s store) expiring(ctx context.Context, q reportQuery, at Moment) ([]renewing, error) {
	text := `SELECT a.*, (` + renewalSQL + ` ORDER BY n.end_date DESC LIMIT 1) AS renewal_id
		FROM authorizations a
		WHERE ` + grantedSQL + ` AND ` + pagedSQL + ` AND a.end_date <= CAST(@until AS date)`
	if q.renewed != nil {
		not := "NOT "
		if *q.renewed {
			not = ""
		}
		text += " AND " + not + "EXISTS (" + renewalSQL + ")"
	}
	var found []renewing
	err := s.selectReport(ctx, text+" ORDER BY a.end_date, a.id LIMIT @limit", q, at, &found)
	if err != nil {
		return nil, err
	}
	return found, s.freeExpired(ctx, pointersTo(found, func(r *renewing) *Authorization {
		return &r.Authorization
	}), at.Now)
}

// atRisk returns the authorizations in force with one of the kinds of risk, sorted by end date.
// Indexes: authorizations_nearly_booked; authorizations_by_end for under-used authorizations. No
// index can have these, because they become under-used without a write.
func (s store) atRisk(ctx context.Context, q reportQuery, at Moment) ([]Authorization, error) {
	running := grantedSQL + " AND " + runningSQL
	var arms []string
	used := `a.booked_band >= @leastBand AND a.booked_band > 0 AND ` + usageSQL + ` IN @kinds`
	if q.includesAny(AlertUsed80, AlertUsed90, AlertUsed100) {
		arms = append(arms, `(SELECT a.* FROM authorizations a WHERE `+running+` AND `+used+` ORDER BY a.end_date, a.id
			LIMIT @limit)`)
	}
	if q.includesAny(AlertUnderUsed) {
		if len(arms) > 0 {
			running += " AND NOT (" + used + ")"
		}
		arms = append(arms, `(SELECT a.* FROM authorizations a WHERE `+running+` AND `+underUsedSQL+` ORDER BY a.end_date,
			a.id LIMIT @limit)`)
	}
	var found []Authorization
	err := s.selectReport(ctx, `SELECT * FROM (`+strings.Join(arms, " UNION ALL ")+`) found ORDER BY end_date, id LIMIT @limit`, q,
		at, &found)
	if err != nil {
		return nil, err
	}
	return found, s.freeExpired(ctx, pointersTo(found, func(a *Authorization) *Authorization { return a }), at.Now)
}

func (q reportQuery) includesAny(kinds ...AlertKind) bool {
	return slices.ContainsFunc(kinds, func(k AlertKind) bool { return slices.Contains(q.kinds, k) })
}

func (store) selectReport(ctx context.Context, text string, q reportQuery, at Moment, found any) error {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	scope, err := db.RecordScopeOf(ctx)
	if err != nil {
		return err
	}
	arguments := q.arguments(organization, at)
	maps.Copy(arguments, scope.Arguments())
	text = strings.ReplaceAll(text, withinScope, scope.Condition(db.Owners{Patient: "a.patient_id IN (%s)"}))
	return tx.Raw(text, arguments).Scan(found).Error
}

func pointersTo[T any](found []T, of func(*T) *Authorization) []*Authorization {
	pointers := make([]*Authorization, len(found))
	for i := range found {
		pointers[i] = of(&found[i])
	}
	return pointers
}
