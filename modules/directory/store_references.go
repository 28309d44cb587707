package directory

import (
	"context"
	"fmt"
	"slices"

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

// weekStartRow is the first day of the week of an insurance's payer.
type weekStartRow struct {
	ID           uuid.UUID
	WeekStartsOn string
}

// payerNameRow is the name of an insurance's payer.
type payerNameRow struct {
	ID   uuid.UUID
	Name string
}

// payerNamesOf returns the query of the names of insurances' payers. OFFSET 0 makes each insurance an index look-up.
// Indexes: the primary keys.
func (store) payerNamesOf(ctx context.Context, insurances db.Subquery, rows *[]payerNameRow) (db.Query, error) {
	_, organization, err := db.Tenant(ctx)
	own := fmt.Sprintf("$%d", len(insurances.Arguments)+1)
	return db.Into(rows, `
		SELECT i.id, p.name FROM (SELECT DISTINCT id FROM (`+insurances.Statement+`) AS n (id)) AS k
		CROSS JOIN LATERAL (
			SELECT * FROM insurances t WHERE t.organization_id = `+own+` AND t.id = k.id OFFSET 0) i
		JOIN payers p ON p.organization_id = i.organization_id AND p.id = i.payer_id`,
		append(slices.Clone(insurances.Arguments), organization)...), err
}

// weekStartsOf returns the query of the first days of the week of insurances' payers. OFFSET 0 makes each
// insurance an index look-up. Indexes: the primary keys.
func (store) weekStartsOf(ctx context.Context, insurances db.Subquery, rows *[]weekStartRow) (db.Query, error) {
	_, organization, err := db.Tenant(ctx)
	own := fmt.Sprintf("$%d", len(insurances.Arguments)+1)
	return db.Into(rows, `
		SELECT i.id, p.week_starts_on FROM (SELECT DISTINCT id FROM (`+insurances.Statement+`) AS n (id)) AS k
		CROSS JOIN LATERAL (
			SELECT * FROM insurances t WHERE t.organization_id = `+own+` AND t.id = k.id OFFSET 0) i
		JOIN payers p ON p.organization_id = i.organization_id AND p.id = i.payer_id`,
		append(slices.Clone(insurances.Arguments), organization)...), err
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
