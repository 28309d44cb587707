package directory

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// practiceClaimRows are the rows of [Service.ClaimData].
type practiceClaimRows struct {
	organization  []Organization
	identity      []BillingIdentity
	payers        []Payer
	practitioners []Practitioner
	credentials   []practitionerCredential
	serviceCodes  []ServiceCode
	supervised    []supervisedCredential
	rates         []Rate
}

// practiceClaimRows returns the queries of the rows. Indexes: the primary keys.
func (store) practiceClaimRows(ctx context.Context) (*practiceClaimRows, []db.Query, error) {
	_, organization, err := db.Tenant(ctx)
	found := &practiceClaimRows{}
	return found, []db.Query{
		db.Into(&found.organization, "SELECT * FROM organizations WHERE id = $1", organization),
		db.Into(&found.identity, "SELECT * FROM billing_identities WHERE organization_id = $1", organization),
		db.Into(&found.payers, "SELECT * FROM payers WHERE organization_id = $1", organization),
		db.Into(&found.practitioners, "SELECT * FROM practitioners WHERE organization_id = $1", organization),
		db.Into(&found.credentials, "SELECT * FROM practitioner_credentials WHERE organization_id = $1", organization),
		db.Into(&found.serviceCodes, "SELECT * FROM service_codes WHERE organization_id = $1", organization),
		db.Into(&found.supervised, "SELECT * FROM service_code_supervised_credentials WHERE organization_id = $1", organization),
		db.Into(&found.rates, "SELECT * FROM rates WHERE organization_id = $1", organization),
	}, err
}

// patientClaimRows are the rows of [Service.PatientClaimData].
type patientClaimRows struct {
	patients   []Patient
	addresses  []patientAddress
	insurances []Insurance
	diagnoses  []Diagnosis
}

// patientClaimRows returns the queries of the rows. Indexes: the primary keys, insurances_by_patient, and the
// unique constraint of diagnoses.
func (store) patientClaimRows(ctx context.Context, patients []uuid.UUID) (*patientClaimRows, []db.Query, error) {
	_, organization, err := db.Tenant(ctx)
	found, arguments := &patientClaimRows{}, []any{organization, db.UUIDs(patients)}
	return found, []db.Query{
		db.Into(&found.patients,
			"SELECT * FROM patients WHERE organization_id = $1 AND id = ANY ($2::uuid[])", arguments...),
		db.Into(&found.addresses,
			"SELECT * FROM patient_addresses WHERE organization_id = $1 AND patient_id = ANY ($2::uuid[])", arguments...),
		db.Into(&found.insurances,
			"SELECT * FROM insurances WHERE organization_id = $1 AND patient_id = ANY ($2::uuid[])", arguments...),
		db.Into(&found.diagnoses,
			"SELECT * FROM diagnoses WHERE organization_id = $1 AND patient_id = ANY ($2::uuid[])", arguments...),
	}, err
}
