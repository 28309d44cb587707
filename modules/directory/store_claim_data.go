package directory

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// claimRows are the rows of [ClaimData].
type claimRows struct {
	organization  Organization
	identity      BillingIdentity
	patients      []Patient
	insurances    []Insurance
	diagnoses     []Diagnosis
	payers        []Payer
	practitioners []Practitioner
	serviceCodes  []ServiceCode
	rates         []Rate
}

// claimRows reads one table after the other. Indexes: the primary keys, and the unique constraint of
// diagnoses.
func (s store) claimRows(ctx context.Context, patients, insurances []uuid.UUID) (claimRows, error) {
	var found claimRows
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return found, err
	}
	if found.organization, err = s.takeOrganization(ctx, organization); err != nil {
		return found, err
	}
	if found.identity, err = s.billingIdentity(ctx); err != nil {
		return found, err
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return found, err
	}
	for _, each := range []struct {
		rows  any
		query string
		ids   []uuid.UUID
	}{
		{&found.patients, "SELECT * FROM patients WHERE organization_id = $1 AND id = ANY ($2::uuid[])", patients},
		{&found.insurances, "SELECT * FROM insurances WHERE organization_id = $1 AND id = ANY ($2::uuid[])", insurances},
		{&found.diagnoses, "SELECT * FROM diagnoses WHERE organization_id = $1 AND patient_id = ANY ($2::uuid[])", patients},
	} {
		if err := tx.Raw(each.query, organization, db.UUIDs(each.ids)).Scan(each.rows).Error; err != nil {
			return found, err
		}
	}
	if len(found.patients) > 0 {
		if err := s.loadAddresses(ctx, found.patients); err != nil {
			return found, err
		}
	}
	for _, rows := range []any{&found.payers, &found.practitioners, &found.serviceCodes, &found.rates} {
		if err := tx.Where("organization_id = ?", organization).Find(rows).Error; err != nil {
			return found, err
		}
	}
	if len(found.serviceCodes) > 0 {
		if err := s.loadSupervised(ctx, found.serviceCodes); err != nil {
			return found, err
		}
	}
	if len(found.practitioners) == 0 {
		return found, nil
	}
	return found, s.loadCredentials(ctx, found.practitioners)
}
