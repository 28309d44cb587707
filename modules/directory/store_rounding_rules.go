package directory

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/scheduling"
)

// payerRoundingRule is a row: a payer's way of rounding from a day on.
type payerRoundingRule struct {
	OrganizationID uuid.UUID     `gorm:"primaryKey"`
	PayerID        uuid.UUID     `gorm:"primaryKey"`
	StartsOn       calendar.Date `gorm:"primaryKey"`
	Method         scheduling.Rounding
	Basis          scheduling.Basis
}

// servicePair is a row: the codes of two services that may overlap.
type servicePair struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	Code           string    `gorm:"primaryKey"`
	OtherCode      string    `gorm:"primaryKey"`
}

func (store) loadRoundingRules(ctx context.Context, found []Payer) error {
	byID, err := partsOf(ctx, "payer_id", found, func(r payerRoundingRule) (uuid.UUID, scheduling.RoundingRule) {
		return r.PayerID, scheduling.RoundingRule{StartsOn: r.StartsOn, Method: r.Method, Basis: r.Basis}
	})
	for i, p := range found {
		found[i].RoundingRules = sortedByDay(byID[p.ID])
	}
	return err
}

// saveRoundingRules inserts and updates rules; they are never deleted.
func (store) saveRoundingRules(ctx context.Context, p *Payer) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	rows := make([]payerRoundingRule, len(p.RoundingRules))
	for i, r := range p.RoundingRules {
		rows[i] = payerRoundingRule{p.OrganizationID, p.ID, r.StartsOn, r.Method, r.Basis}
	}
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "organization_id"}, {Name: "payer_id"}, {Name: "starts_on"}},
		DoUpdates: clause.AssignmentColumns([]string{"method", "basis"}),
		Where: clause.Where{Exprs: []clause.Expression{clause.Expr{
			SQL: "(payer_rounding_rules.method, payer_rounding_rules.basis) <> (excluded.method, excluded.basis)",
		}}},
	}).Create(&rows).Error
}

func sortedByDay(rules []scheduling.RoundingRule) []scheduling.RoundingRule {
	slices.SortFunc(rules, func(a, b scheduling.RoundingRule) int { return a.StartsOn.Time().Compare(b.StartsOn.Time()) })
	return rules
}

// pairs returns the query of the pairs of the caller's organization in their order. Index: the primary key.
func (store) pairs(ctx context.Context, found *[]ServicePair) (db.Query, error) {
	_, organization, err := db.Tenant(ctx)
	return db.Into(found, "SELECT code, other_code FROM service_pairs WHERE organization_id = $1 ORDER BY code, other_code",
		organization), err
}

// findPairs returns the pairs of the caller's organization and their version, in one round trip.
func (s store) findPairs(ctx context.Context) (ServicePairs, error) {
	found := ServicePairs{Pairs: []ServicePair{}}
	q, err := s.pairs(ctx, &found.Pairs)
	if err != nil {
		return ServicePairs{}, err
	}
	var versions []int
	err = db.ReadAll(ctx, q, db.Into(&versions, "SELECT service_pairs_version FROM organizations WHERE id = $1",
		q.Arguments...))
	if err == nil && len(versions) == 0 {
		err = gorm.ErrRecordNotFound
	}
	if err != nil {
		return ServicePairs{}, err
	}
	found.Version = versions[0]
	return found, nil
}

// replacePairs replaces all pairs of the caller's organization.
func (s store) replacePairs(ctx context.Context, all ServicePairs) error {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	if err := tx.Delete(&servicePair{}).Error; err != nil {
		return err
	}
	if err := s.insertPairs(ctx, organization, all.Pairs); err != nil {
		return err
	}
	handle, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return handle.Model(&Organization{}).Where("id = ?", organization).UpdateColumn("service_pairs_version",
		all.Version).Error
}

func (store) insertPairs(ctx context.Context, organization uuid.UUID, pairs []ServicePair) error {
	tx, err := db.Handle(ctx)
	if err != nil || len(pairs) == 0 {
		return err
	}
	rows := make([]servicePair, len(pairs))
	for i, p := range pairs {
		rows[i] = servicePair{organization, p.Code, p.OtherCode}
	}
	return tx.Create(&rows).Error
}
