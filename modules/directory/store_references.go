package directory

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// references reports which of a patient, a service code and an insurance exist.
type references struct {
	Patient          bool
	ServiceCode      bool
	InsurancePatient *uuid.UUID // the patient of the insurance
}

// findReferences makes one round trip, because it runs within other modules' transactions. Index: the
// primary keys.
func (store) findReferences(ctx context.Context, patient, serviceCode, insurance uuid.UUID) (references, error) {
	var found references
	tx, err := db.Handle(ctx)
	if err != nil {
		return found, err
	}
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return found, err
	}
	err = tx.Raw(`
		SELECT
			EXISTS (SELECT 1 FROM patients WHERE organization_id = @organization AND id = @patient) AS patient,
			EXISTS (SELECT 1 FROM service_codes WHERE organization_id = @organization AND id = @serviceCode) AS service_code,
			(SELECT patient_id FROM insurances WHERE organization_id = @organization AND id = @insurance) AS insurance_patient`,
		map[string]any{
			"organization": organization, "patient": patient, "serviceCode": serviceCode, "insurance": insurance,
		}).Scan(&found).Error
	return found, err
}

// weekStarts returns the first days of the week of insurances' payers, omitting unknown
// insurances. Indexes: the primary keys.
func (store) weekStarts(ctx context.Context, organizations, insurances []uuid.UUID) ([]string, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	err = tx.Raw(`
		SELECT coalesce((
			SELECT p.week_starts_on
			FROM insurances i JOIN payers p ON p.organization_id = i.organization_id AND p.id = i.payer_id
			WHERE i.organization_id = k.organization_id AND i.id = k.id), '')
		FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS k (organization_id, id, n)
		ORDER BY k.n`, db.UUIDs(organizations), db.UUIDs(insurances)).Scan(&names).Error
	return names, err
}

// insurancesOf scans the organization's insurances. An index by payer would be written for each
// of them and used only by occasional reports.
func (store) insurancesOf(ctx context.Context, payer uuid.UUID) ([]uuid.UUID, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var ids []uuid.UUID
	err = tx.Table("insurances").Where("payer_id = ?", payer).Pluck("id", &ids).Error
	return ids, err
}

// practitionerExists reports whether the caller's organization has the practitioner. Index: the
// primary key.
func (store) practitionerExists(ctx context.Context, id uuid.UUID) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(&Practitioner{}).Where("id = ?", id).Count(&found).Error
	return found == 1, err
}
