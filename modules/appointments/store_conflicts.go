package appointments

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/scheduling"
)

// ConflictKind is a kind of conflict that keeps a session from being billed. A conflict ends by
// itself when its reason does.
type ConflictKind string

// The kinds of conflicts.
const (
	MissingNote  ConflictKind = "missing-note" // a required note is missing or incomplete
	Unsigned     ConflictKind = "unsigned"     // a required signature is missing
	LateNote     ConflictKind = "late"         // the note or a signature is missing after the due time
	Unauthorized ConflictKind = "unauthorized" // no authorization covers some of the units
	Overlapping  ConflictKind = "overlap"      // it overlaps another session in real time
	CapExceeded  ConflictKind = "cap"          // with it, the worked units exceed a cap of the authorization
	TooShort     ConflictKind = "duration"     // the time of a patient who attended is too short for a unit
)

// conflictConditions are the conditions of sessions with a conflict, in SQL. To add a kind, add it
// here, to the constants and to the filter of the API.
var conflictConditions = map[ConflictKind]string{
	MissingNote:  noteRuleSQL(incompleteSQL),
	Unsigned:     noteRuleSQL(unsignedSQL),
	LateNote:     noteRuleSQL(lateSQL),
	Unauthorized: "sessions.unauthorized_units > 0",
	Overlapping:  overlapSQL,
	CapExceeded:  capSQL,
	TooShort:     durationSQL,
}

// capSQL is the condition of a session in the period of an exceeded cap c, unless the cap is exceeded
// by later sessions only. Indexes: session_patients_by_patient, the primary keys.
const capSQL = `EXISTS (SELECT FROM session_patients p
	JOIN jsonb_to_recordset(CAST(@exceeded_caps AS jsonb)) AS c (authorization_id uuid, first_day date, last_day date,
		units integer, consumed integer) ON c.authorization_id = p.authorization_id
	WHERE p.organization_id = sessions.organization_id AND p.session_id = sessions.id
		AND p.units > p.unauthorized_units AND sessions.service_date BETWEEN c.first_day AND c.last_day
		AND c.consumed - coalesce((SELECT sum(q.units - q.unauthorized_units) FROM session_patients q
			JOIN sessions o ON o.organization_id = q.organization_id AND o.id = q.session_id
			WHERE q.organization_id = p.organization_id AND q.patient_id = p.patient_id
				AND q.authorization_id = p.authorization_id AND o.voided_at IS NULL
				AND o.service_date BETWEEN c.first_day AND c.last_day
				AND (o.starts_at, o.id) > (sessions.starts_at, sessions.id)), 0) > c.units)`

// durationSQL is the condition of a session with a patient whose time gives no unit although it is
// rounded alone. Index: the primary key of session_patients.
const durationSQL = `EXISTS (SELECT FROM session_patients p
	WHERE p.organization_id = sessions.organization_id AND p.session_id = sessions.id
		AND p.attended AND p.units = 0 AND p.rounding_basis = 'SESSION')`

// overlapSQL is the condition of a session that overlaps another one of a practitioner, or of a
// patient in the same track. If the overlap of either was accepted, any track counts, unless the two
// services may run together. It looks up the other work of each person, because a practice has many
// sessions at any time. A patient's own times are within the session. Indexes:
// appointment_practitioners_by_worked_start, appointment_patients_by_worked_start,
// sessions_by_appointment, the primary keys.
const overlapSQL = `(EXISTS (SELECT FROM appointment_practitioners p
		JOIN appointment_practitioners q ON q.organization_id = p.organization_id
			AND q.practitioner_id = p.practitioner_id AND q.appointment_id <> p.appointment_id
		JOIN sessions o ON o.organization_id = q.organization_id AND o.appointment_id = q.appointment_id
			AND o.voided_at IS NULL
		WHERE p.organization_id = sessions.organization_id AND p.appointment_id = sessions.appointment_id
			AND q.worked_starts_at < sessions.ends_at
			AND q.worked_starts_at > sessions.starts_at - interval '24 hours'
			AND o.starts_at < sessions.ends_at AND o.ends_at > sessions.starts_at)
	OR EXISTS (SELECT FROM appointment_patients p
		JOIN appointment_patients q ON q.organization_id = p.organization_id AND q.patient_id = p.patient_id
			AND q.appointment_id <> p.appointment_id
		JOIN sessions o ON o.organization_id = q.organization_id AND o.appointment_id = q.appointment_id
			AND o.voided_at IS NULL
		WHERE p.organization_id = sessions.organization_id AND p.appointment_id = sessions.appointment_id
			AND q.worked_starts_at < p.worked_ends_at
			AND q.worked_starts_at > sessions.starts_at - interval '24 hours'
			AND p.worked_starts_at < q.worked_ends_at
			AND (p.track = q.track OR coalesce(sessions.overlap_reason, o.overlap_reason) IS NOT NULL
				AND NOT EXISTS (
					SELECT FROM jsonb_to_recordset(CAST(@service_pairs AS jsonb)) AS r (code text, other_code text)
					WHERE r.code IN (p.code, q.code) AND r.other_code IN (p.code, q.code)))))`

// ConflictKinds returns all kinds, sorted.
func ConflictKinds() []ConflictKind { return slices.Sorted(maps.Keys(conflictConditions)) }

// presentSQL is the version of the content of a session: recounts and texts make versions that need
// no new signature. Index: the primary key of session_versions.
const presentSQL = `CASE WHEN sessions.change IN ('RECOUNTED', 'NARRATIVE') THEN (
		SELECT coalesce(max(v.version), 1) FROM session_versions v
		WHERE v.organization_id = sessions.organization_id AND v.session_id = sessions.id
			AND v.change NOT IN ('RECOUNTED', 'NARRATIVE')) ELSE sessions.version END`

// hashSQL is [NoteText.hash] of the session's present note.
const hashSQL = `sha256(convert_to(octet_length(coalesce(sessions.narrative, '')) || chr(10) ||
	coalesce(sessions.narrative, '') || chr(10) || coalesce((
		SELECT string_agg(octet_length(n.key) || chr(10) || n.key || chr(10) || octet_length(n.value) || chr(10) ||
			n.value || chr(10), '' ORDER BY n.key COLLATE "C")
		FROM jsonb_each_text(sessions.note_sections) n), ''), 'UTF8'))`

// countsSQL is the condition of a signature g that counts for the session.
const countsSQL = `(g.session_version >= ` + presentSQL + ` AND g.text_hash = ` + hashSQL + `)`

// signedSQL is the condition of a session that the role q.role has signed. Index: the primary key of
// session_signatures.
const signedSQL = `EXISTS (SELECT FROM session_signatures g
	WHERE g.organization_id = sessions.organization_id AND g.session_id = sessions.id AND g.role = q.role
		AND ` + countsSQL + `)`

// The conditions of a session whose service has the rule r.
const (
	incompleteSQL = `(coalesce(char_length(sessions.narrative), 0) + coalesce((
			SELECT sum(char_length(n.value)) FROM jsonb_each_text(sessions.note_sections) n), 0) < greatest(r.min_length, 1)
		OR EXISTS (SELECT FROM jsonb_array_elements_text(r.sections) q (name)
			WHERE coalesce(sessions.note_sections ->> q.name, '') = ''))`
	unsignedSQL = `EXISTS (SELECT FROM jsonb_array_elements_text(r.signers) q (role) WHERE NOT ` + signedSQL + `)`
	lateSQL     = `(sessions.ends_at + make_interval(hours => r.due_hours) < CAST(@now AS timestamptz)
		AND (` + incompleteSQL + ` OR ` + unsignedSQL + `))`
	// awaitingSQL is the condition of a complete note that lacks the signature of the caller. The
	// technician signs before the supervisor.
	awaitingSQL = `(NOT ` + incompleteSQL + ` AND EXISTS (
		SELECT FROM jsonb_array_elements_text(r.signers) q (role) WHERE NOT ` + signedSQL + ` AND (
			q.role = 'TECHNICIAN' AND EXISTS (SELECT FROM appointment_practitioners p
				WHERE p.organization_id = sessions.organization_id AND p.appointment_id = sessions.appointment_id
					AND p.practitioner_id = CAST(@own AS uuid))
			OR q.role = 'SUPERVISOR' AND CAST(@beyond_own AS boolean)
				AND (NOT jsonb_exists(r.signers, 'TECHNICIAN') OR EXISTS (SELECT FROM session_signatures g
					WHERE g.organization_id = sessions.organization_id AND g.session_id = sessions.id
						AND g.role = 'TECHNICIAN' AND g.practitioner_id <> CAST(@own AS uuid) AND ` + countsSQL + `)))))`
)

// noteRuleSQL returns the condition of sessions whose service has a rule r for notes that meets the
// condition. Index: the primary key of appointments.
func noteRuleSQL(condition string) string {
	return `EXISTS (SELECT FROM appointments a
		JOIN jsonb_to_recordset(CAST(@note_rules AS jsonb)) AS r (service_code_id uuid, min_length integer,
			sections jsonb, signers jsonb, due_hours integer, starts_on date, ends_before date)
			ON r.service_code_id = a.service_code_id
		WHERE a.organization_id = sessions.organization_id AND a.id = sessions.appointment_id
			AND sessions.service_date >= r.starts_on
			AND (r.ends_before IS NULL OR sessions.service_date < r.ends_before) AND ` + condition + `)`
}

// conflictArguments are the named arguments of the conditions.
type conflictArguments struct {
	rules    map[uuid.UUID][]scheduling.DatedNoteRule
	exceeded []authorization.ExceededCap
	pairs    []directory.ServicePair // the services that may run together
	now      time.Time
}

// servicePairRow is a pair of services as the conditions read it.
type servicePairRow struct {
	Code      string `json:"code"`
	OtherCode string `json:"other_code"`
}

// exceededCapRow is an exceeded cap as the conditions read it.
type exceededCapRow struct {
	AuthorizationID uuid.UUID     `json:"authorization_id"`
	First           calendar.Date `json:"first_day"`
	Last            calendar.Date `json:"last_day"`
	Units           int           `json:"units"`
	Consumed        int           `json:"consumed"`
}

// noteRuleRow is a rule as the conditions read it.
type noteRuleRow struct {
	ServiceCodeID uuid.UUID                `json:"service_code_id"`
	MinLength     int                      `json:"min_length"`
	Sections      []scheduling.NoteSection `json:"sections"`
	Signers       []scheduling.Signer      `json:"signers"`
	DueHours      *int                     `json:"due_hours"`
	StartsOn      calendar.Date            `json:"starts_on"`
	EndsBefore    *calendar.Date           `json:"ends_before"` // the first day of the next rule; nil: none follows
}

func (a conflictArguments) named() (map[string]any, error) {
	rows := []noteRuleRow{}
	for id, rules := range a.rules {
		for i, r := range rules {
			if r.Rule == nil {
				continue
			}
			row := noteRuleRow{
				ServiceCodeID: id, MinLength: r.Rule.MinLength, Sections: r.Rule.Sections, Signers: r.Rule.Signers,
				DueHours: r.Rule.DueHours, StartsOn: r.StartsOn,
			}
			if i+1 < len(rules) {
				row.EndsBefore = new(rules[i+1].StartsOn)
			}
			rows = append(rows, row)
		}
	}
	rules, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	caps, err := exceededArgument(a.exceeded)
	if err != nil {
		return nil, err
	}
	pairs, err := pairsArgument(a.pairs)
	return map[string]any{
		"note_rules": string(rules), "exceeded_caps": caps, "service_pairs": pairs, "now": a.now,
	}, err
}

// exceededArgument returns the argument @exceeded_caps.
func exceededArgument(exceeded []authorization.ExceededCap) (string, error) {
	rows := make([]exceededCapRow, len(exceeded))
	for i, c := range exceeded {
		rows[i] = exceededCapRow{c.AuthorizationID, c.First, c.Last, c.Units, c.Consumed}
	}
	text, err := json.Marshal(rows)
	return string(text), err
}

// pairsArgument returns the argument @service_pairs.
func pairsArgument(pairs []directory.ServicePair) (string, error) {
	rows := make([]servicePairRow, len(pairs))
	for i, p := range pairs {
		rows[i] = servicePairRow(p)
	}
	text, err := json.Marshal(rows)
	return string(text), err
}

// kindsSQL is the list of a session's conflicts, separated by blanks.
func kindsSQL() string {
	var cases []string
	for _, kind := range ConflictKinds() {
		cases = append(cases, fmt.Sprintf("CASE WHEN %s THEN '%s' END", conflictConditions[kind], kind))
	}
	return "CASE WHEN sessions.voided_at IS NULL THEN array_to_string(ARRAY[" + strings.Join(cases, ", ") +
		"], ' ') ELSE '' END"
}

// narrowing limits a list of sessions by their conflicts. The zero value does not.
type narrowing struct {
	conflicts []ConflictKind // with a conflict of one of the kinds
	awaiting  *bool          // whether nothing but signatures is missing, among them the caller's; nil: any
	arguments conflictArguments
	own       uuid.UUID // the caller's practitioner
	beyondOwn bool      // whether the caller may sign as supervisor
}

// isWorklist reports whether the list is limited.
func (n narrowing) isWorklist() bool { return len(n.conflicts) > 0 || n.awaiting != nil }

// apply limits a query of sessions.
func (n narrowing) apply(tx *gorm.DB) (*gorm.DB, error) {
	if !n.isWorklist() {
		return tx, nil
	}
	named, err := n.arguments.named()
	if err != nil {
		return nil, err
	}
	tx = tx.Where("sessions.voided_at IS NULL")
	if len(n.conflicts) > 0 {
		var conditions []string
		for _, kind := range n.conflicts {
			conditions = append(conditions, conflictConditions[kind])
		}
		tx = where(tx, "("+strings.Join(conditions, " OR ")+")", named)
	}
	if n.awaiting != nil {
		named["own"], named["beyond_own"] = n.own, n.beyondOwn
		condition := noteRuleSQL(awaitingSQL)
		if !*n.awaiting {
			condition = "NOT " + condition
		}
		tx = tx.Where(condition, named)
	}
	return tx, nil
}

// where adds a condition. gorm would bind the arguments of a condition without names.
func where(tx *gorm.DB, condition string, named map[string]any) *gorm.DB {
	if strings.Contains(condition, "@") {
		return tx.Where(condition, named)
	}
	return tx.Where(condition)
}

// conflictCounts returns the numbers of sessions with conflicts, by kind and leading practitioner,
// within the caller's record scope. Index: sessions_by_start.
func (store) conflictCounts(ctx context.Context, within Span, a conflictArguments) ([]ConflictCount, error) {
	scoped, _, err := db.ScopedTenant(ctx, sessionOwners)
	if err != nil {
		return nil, err
	}
	named, err := a.named()
	if err != nil {
		return nil, err
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	sessions := within.narrow(scoped.Model(&Session{})).Select(`sessions.service_date, `+kindsSQL()+` AS kinds, (
			SELECT p.practitioner_id FROM appointment_practitioners p
			WHERE p.organization_id = sessions.organization_id AND p.appointment_id = sessions.appointment_id
			ORDER BY p.position LIMIT 1) AS practitioner_id`, named)
	var found []ConflictCount
	err = db.Read(ctx, db.FindInto(&found, tx.Table("(?) AS found", sessions).
		Select("k.kind, found.practitioner_id, count(*) AS sessions, min(found.service_date) AS oldest").
		Joins("CROSS JOIN LATERAL unnest(string_to_array(nullif(found.kinds, ''), ' ')) AS k (kind)").
		Group("k.kind, found.practitioner_id").Order("k.kind, oldest, found.practitioner_id")))
	return found, err
}
