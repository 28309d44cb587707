package directory

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/scheduling"
)

// schedulingRules reads all requested rules in one round trip, because bookings in the queue wait
// for it. OFFSET 0 forces a separate index look-up for each key. On small tables the planner
// would prefer a scan, and SSI would lock the whole table. Indexes: the primary keys.
func schedulingRules(ctx context.Context, q scheduling.Question) ([]ruleRow, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	codeOf, codes := split(q.ServiceCodes)
	practitionerOf, practitioners := split(q.Practitioners)
	patientOf, patients := split(q.Patients)
	coverageOf, insurances, days := splitCoverages(q.Coverages)
	var organizations []uuid.UUID
	for _, each := range [][]uuid.UUID{codeOf, practitionerOf, patientOf, coverageOf} {
		organizations = append(organizations, each...)
	}
	var rows []ruleRow
	err = tx.Raw(`
		SELECT 'service code' AS kind, k.organization_id, k.id, NULL::date AS service_date, f.found
		FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT json_build_object('Code', t.code, 'Lane', t.lane, 'UnitMinutes', t.unit_minutes, 'Active', t.active,
				'RequiredCredentials', ARRAY(
					SELECT c.credential FROM service_code_credentials c
					WHERE c.organization_id = k.organization_id AND c.service_code_id = k.id ORDER BY c.credential COLLATE "C"))::text AS found
			FROM service_codes t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) f
		UNION ALL
		SELECT 'practitioner', k.organization_id, k.id, NULL, f.found
		FROM unnest($3::uuid[], $4::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT json_build_object('Name', t.first_name || ' ' || t.last_name, 'Active', t.status = 'ACTIVE',
				'Credentials', ARRAY(
					SELECT json_build_object('Code', c.credential, 'ExpiresOn', c.expires_on) FROM practitioner_credentials c
					WHERE c.organization_id = k.organization_id AND c.practitioner_id = k.id ORDER BY c.credential COLLATE "C"))::text AS found
			FROM practitioners t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) f
		UNION ALL
		SELECT 'patient', k.organization_id, k.id, NULL, f.found
		FROM unnest($5::uuid[], $6::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT json_build_object('Active', t.status = 'ACTIVE')::text AS found
			FROM patients t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) f
		UNION ALL
		SELECT 'coverage', k.organization_id, k.id, k.service_date, f.found
		FROM unnest($7::uuid[], $8::uuid[], $9::text[]::date[]) AS k (organization_id, id, service_date)
		CROSS JOIN LATERAL (
			SELECT t.payer_id FROM insurances t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) i
		CROSS JOIN LATERAL (
			SELECT json_build_object('StartsOn', t.starts_on, 'Method', t.method)::text AS found
			FROM payer_rounding_rules t
			WHERE t.organization_id = k.organization_id AND t.payer_id = i.payer_id AND t.starts_on <= k.service_date
			ORDER BY t.starts_on DESC LIMIT 1) f
		UNION ALL
		SELECT 'organization', k.id, k.id, NULL, f.found
		FROM unnest($10::uuid[]) AS k (id)
		CROSS JOIN LATERAL (
			SELECT json_build_object('TimeZone', t.time_zone, 'LateCancelHours', t.late_cancel_hours, 'NoShowConsumes', t.no_show_consumes,
				'SessionEditHours', t.session_edit_hours, 'EarlyStartMinutes', t.early_start_minutes,
				'ConfirmLengthFactor', t.confirm_length_factor,
				'Pairs', ARRAY(
					SELECT json_build_object('Code', p.code, 'OtherCode', p.other_code) FROM service_pairs p
					WHERE p.organization_id = k.id ORDER BY p.code, p.other_code))::text AS found
			FROM organizations t WHERE t.id = k.id OFFSET 0) f`,
		db.UUIDs(codeOf), db.UUIDs(codes), db.UUIDs(practitionerOf), db.UUIDs(practitioners), db.UUIDs(patientOf),
		db.UUIDs(patients),
		db.UUIDs(coverageOf), db.UUIDs(insurances), days, db.UUIDs(once(organizations))).Scan(&rows).Error
	return rows, err
}

func split(keys []scheduling.Key) (organizations, ids []uuid.UUID) {
	for _, k := range keys {
		organizations, ids = append(organizations, k.OrganizationID), append(ids, k.ID)
	}
	return organizations, ids
}

// splitCoverages includes coverages without an insurance; they match no row.
func splitCoverages(coverages []scheduling.Coverage) (organizations, insurances []uuid.UUID, days []string) {
	days = []string{}
	for _, c := range coverages {
		organizations, insurances = append(organizations, c.OrganizationID), append(insurances, c.InsuranceID)
		days = append(days, c.ServiceDate.String())
	}
	return organizations, insurances, days
}
