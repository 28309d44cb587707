package directory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// selectRules returns a row for each requested rule that exists. OFFSET 0 forces a separate index
// look-up for each key. On small tables the planner would prefer a scan, and SSI would lock the
// whole table. Indexes: the primary keys.
const selectRules = `
	SELECT 'service code' AS kind, k.organization_id, k.id, NULL::date AS service_date, f.found
	FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
	CROSS JOIN LATERAL (
	SELECT json_build_object('Code', t.code, 'Track', t.track, 'UnitMinutes', t.unit_minutes, 'Active', t.active,
		'RequiredCredentials', ARRAY(
			SELECT c.credential FROM service_code_credentials c
			WHERE c.organization_id = k.organization_id AND c.service_code_id = k.id
				ORDER BY c.credential COLLATE "C"))::text AS found
	FROM service_codes t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) f
	UNION ALL
	SELECT 'practitioner', k.organization_id, k.id, NULL, f.found
	FROM unnest($3::uuid[], $4::uuid[]) AS k (organization_id, id)
	CROSS JOIN LATERAL (
	SELECT json_build_object('Name', t.first_name || ' ' || t.last_name, 'Active', t.status = 'ACTIVE',
		'Credentials', ARRAY(
			SELECT json_build_object('Code', c.credential, 'ExpiresOn', c.expires_on) FROM practitioner_credentials c
			WHERE c.organization_id = k.organization_id AND c.practitioner_id = k.id
				ORDER BY c.credential COLLATE "C"))::text AS found
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
	SELECT json_build_object('PayerID', t.payer_id, 'StartsOn', t.starts_on, 'Method', t.method, 'Basis', t.basis,
		'Modifiers', coalesce((SELECT c -> 'Rules' FROM jsonb_array_elements(p.modifier_rule_changes) AS c
			WHERE (c ->> 'StartsOn')::date <= k.service_date ORDER BY (c ->> 'StartsOn')::date DESC LIMIT 1),
			p.modifier_rules),
		'NoShowConsumes', (SELECT c -> 'Consumes' FROM jsonb_array_elements(p.no_show_rules) AS c
			WHERE (c ->> 'StartsOn')::date <= k.service_date ORDER BY (c ->> 'StartsOn')::date DESC LIMIT 1)
		)::text AS found
	FROM payer_rounding_rules t
	CROSS JOIN LATERAL (
	SELECT p.modifier_rules, p.modifier_rule_changes, p.no_show_rules FROM payers p
	WHERE p.organization_id = t.organization_id AND p.id = t.payer_id OFFSET 0) p
	WHERE t.organization_id = k.organization_id AND t.payer_id = i.payer_id AND t.starts_on <= k.service_date
	ORDER BY t.starts_on DESC LIMIT 1) f
	UNION ALL
	SELECT 'organization', k.id, k.id, NULL, f.found
	FROM unnest($10::uuid[]) AS k (id)
	CROSS JOIN LATERAL (
	SELECT json_build_object('TimeZone', t.time_zone, 'LateCancelHours', t.late_cancel_hours,
		'NoShowConsumes', t.no_show_consumes,
		'EarlyStartMinutes', t.early_start_minutes, 'ConfirmLengthFactor', t.confirm_length_factor,
		'Pairs', ARRAY(
			SELECT json_build_object('Code', p.code, 'OtherCode', p.other_code) FROM service_pairs p
			WHERE p.organization_id = k.id ORDER BY p.code, p.other_code))::text AS found
	FROM organizations t WHERE t.id = k.id OFFSET 0) f
	UNION ALL
	SELECT 'location', k.organization_id, k.id, NULL, f.found
	FROM unnest($11::uuid[], $12::uuid[]) AS k (organization_id, id)
	CROSS JOIN LATERAL (
	SELECT json_build_object('TimeZone', coalesce(t.time_zone, ''), 'PlaceOfService', t.place_of_service,
		'Active', t.active)::text AS found
	FROM locations t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) f`

// schedulingRules reads all requested rules in one round trip, because bookings in the queue wait
// for it.
func (store) schedulingRules(ctx context.Context, q scheduling.Query) ([]ruleRow, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	codeOf, codes := splitKeys(q.ServiceCodes)
	practitionerOf, practitioners := splitKeys(q.Practitioners)
	patientOf, patients := splitKeys(q.Patients)
	coverageOf, insurances, days := splitCoverages(q.Coverages)
	locationOf, locations := splitKeys(q.Locations)
	organizations := slices.Concat(codeOf, practitionerOf, patientOf, coverageOf)
	var rows []ruleRow
	err = tx.Raw(selectRules,
		db.UUIDs(codeOf), db.UUIDs(codes), db.UUIDs(practitionerOf), db.UUIDs(practitioners), db.UUIDs(patientOf),
		db.UUIDs(patients),
		db.UUIDs(coverageOf), db.UUIDs(insurances), days, db.UUIDs(unique(organizations)),
		db.UUIDs(locationOf), db.UUIDs(locations)).Scan(&rows).Error
	return rows, err
}

func splitKeys(keys []record.Key) (organizations, ids []uuid.UUID) {
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

// The kinds of rows that [schedulingRules] reads.
const (
	rowServiceCode  = "service code"
	rowPractitioner = "practitioner"
	rowPatient      = "patient"
	rowCoverage     = "coverage"
	rowOrganization = "organization"
	rowLocation     = "location"
)

// ruleRow is one row of the result: the requested key, and a JSON object.
type ruleRow struct {
	Kind           string
	OrganizationID uuid.UUID
	ID             uuid.UUID
	ServiceDate    calendar.Date
	Found          string
}

func (r ruleRow) addTo(rules *scheduling.Rules) error {
	key := record.Of(r.OrganizationID, r.ID)
	switch r.Kind {
	case rowServiceCode:
		return addRule(r, rules.ServiceCodes, key)
	case rowPractitioner:
		return addRule(r, rules.Practitioners, key)
	case rowPatient:
		return addRule(r, rules.Patients, key)
	case rowCoverage:
		return addRule(r, rules.Payers, scheduling.Coverage{
			OrganizationID: r.OrganizationID, InsuranceID: r.ID,
			ServiceDate: r.ServiceDate,
		})
	case rowLocation:
		return addRule(r, rules.Locations, key)
	case rowOrganization:
		var o struct {
			scheduling.Organization
			Pairs []scheduling.Pair
		}
		if err := json.Unmarshal([]byte(r.Found), &o); err != nil {
			return err
		}
		o.Organization.Pairs = make(map[scheduling.Pair]bool, len(o.Pairs))
		for _, p := range o.Pairs {
			o.Organization.Pairs[p] = true
		}
		rules.Organizations[r.ID] = o.Organization
		return nil
	}
	return fmt.Errorf("directory: rows of kind %q are unknown", r.Kind)
}

// addRule adds the value of a row to the answers of its kind.
func addRule[K comparable, V any](r ruleRow, answers map[K]V, key K) error {
	var answer V
	err := json.Unmarshal([]byte(r.Found), &answer)
	answers[key] = answer
	return err
}

func unique[T comparable](all []T) []T {
	seen := make(map[T]bool, len(all))
	return slices.DeleteFunc(slices.Clone(all), func(value T) bool {
		duplicate := seen[value]
		seen[value] = true
		return duplicate
	})
}
