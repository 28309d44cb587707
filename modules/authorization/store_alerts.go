package authorization

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// group is one of the groups of alerts of an authorization.
type group struct {
	kinds     []AlertKind
	kind      string // SQL for its kind
	after     string // pagedSQL or runningSQL
	condition string
}

// groups has the groups of kinds, in the order of [AlertKinds].
var groups = []group{{
	kinds: []AlertKind{AlertExpired, AlertExpiring14, AlertExpiring30, AlertExpiring60}, kind: expirySQL, after: pagedSQL,
	condition: `a.end_date <= CAST(@until AS date) AND NOT EXISTS (` + renewalSQL + `)`,
}, {
	kinds: []AlertKind{AlertUsed100, AlertUsed90, AlertUsed80}, kind: usageSQL, after: runningSQL,
	condition: `a.booked_band >= @leastBand AND a.booked_band > 0`,
}, {
	kinds: []AlertKind{AlertUnderUsed}, kind: `'under-used'`, after: runningSQL,
	condition: underUsedSQL,
}}

// groupOf returns the index of the kind's group.
func groupOf(kind AlertKind) int {
	return slices.IndexFunc(groups, func(g group) bool { return slices.Contains(g.kinds, kind) })
}

// alertRow is an alert as the queries return it.
type alertRow struct {
	Authorization
	Kind           AlertKind
	Position       int // the index of its group
	AcknowledgedBy *uuid.UUID
	AcknowledgedAt *time.Time
}

// alerts returns alerts sorted by the end dates of the authorizations. Each group is a separate
// query, limited to the page. Indexes: authorizations_by_end, authorizations_by_patient,
// authorizations_nearly_booked, alert_acknowledgements_pkey.
func (s store) alerts(ctx context.Context, q reportQuery, at Moment) ([]alertRow, error) {
	var arms []string
	for position, g := range groups {
		if !q.includesAny(g.kinds...) {
			continue
		}
		after := g.after
		if q.after != nil && position > q.after.Group { // this group still has to return the same authorization
			after = strings.Replace(after, ">", ">=", 1)
		}
		arms = append(arms, fmt.Sprintf(`(
			SELECT x.*, k.acknowledged_by, k.acknowledged_at
			FROM (SELECT a.*, %s AS kind, %d AS position FROM authorizations a WHERE %s AND %s AND %s) x
			LEFT JOIN alert_acknowledgements k ON k.organization_id = x.organization_id AND k.authorization_id = x.id
				AND k.kind = x.kind AND k.end_date = x.end_date AND k.total_units = x.total_units
			WHERE x.kind IN @kinds%s
			ORDER BY x.end_date, x.id LIMIT @limit)`, g.kind, position, grantedSQL, g.condition, after, q.acknowledgedSQL()))
	}
	var found []alertRow
	err := s.selectReport(ctx, `SELECT * FROM (`+strings.Join(arms,
		" UNION ALL ")+`) found ORDER BY end_date, id, position LIMIT @limit`, q, at, &found)
	if err != nil {
		return nil, err
	}
	return found, s.freeExpired(ctx, pointersTo(found, func(r *alertRow) *Authorization { return &r.Authorization }), at.Now)
}

// acknowledgedSQL returns the condition for acknowledged or unacknowledged alerts.
func (q reportQuery) acknowledgedSQL() string {
	switch {
	case q.acknowledged == nil:
		return ""
	case *q.acknowledged:
		return " AND k.kind IS NOT NULL"
	default:
		return " AND k.kind IS NULL"
	}
}

// Acknowledgement records who acknowledged an alert. It is valid for the end date and total that
// the alert had.
type Acknowledgement struct {
	OrganizationID  uuid.UUID `gorm:"primaryKey"`
	AuthorizationID uuid.UUID `gorm:"primaryKey"`
	Kind            AlertKind `gorm:"primaryKey"`
	EndDate         calendar.Date
	TotalUnits      int
	AcknowledgedBy  uuid.UUID
	AcknowledgedAt  time.Time
}

// TableName returns the table name for gorm.
func (Acknowledgement) TableName() string { return "alert_acknowledgements" }

// acknowledgement returns the acknowledgement of the kind, for any end date and total; nil: none.
func (store) acknowledgement(ctx context.Context, authorization uuid.UUID, kind AlertKind) (*Acknowledgement, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []*Acknowledgement
	err = tx.Where("authorization_id = ? AND kind = ?", authorization, kind).Limit(1).Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// acknowledge writes the acknowledgement, and replaces one for another end date or total.
func (store) acknowledge(ctx context.Context, a Acknowledgement) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&a).Error
}

// renewed reports whether the authorization has a renewal. Index: authorizations_by_patient.
func (s store) renewed(ctx context.Context, a Authorization) (bool, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return false, err
	}
	var found []uuid.UUID
	err = tx.Raw(`SELECT r.id FROM authorizations a CROSS JOIN LATERAL (`+renewalSQL+` LIMIT 1) r
		WHERE a.organization_id = ? AND a.id = ?`, a.OrganizationID, a.ID).Scan(&found).Error
	return len(found) > 0, err
}
