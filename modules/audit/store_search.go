package audit

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// search returns events of the caller's organization that match the filter, ordered by time and
// then by sequence number. Indexes: the primary key, or the one of actor, patient or subject, and
// the primary key of audit_list_records; all of them have this order.
func (store) search(ctx context.Context, f Filter, after *cursor, newestFirst bool, limit int) ([]Entry, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	statement, values := newSearch(organization, f, after, newestFirst, limit).statement()
	var found []Entry
	err = tx.Raw(statement, values).Scan(&found).Error
	return found, err
}

// search is a statement in the making.
type search struct {
	filter     Filter
	conditions []string // of audit_events e, without patient and subject
	days       []string // conditions of audit_list_records r that follow from these
	values     map[string]any
	direction  string // ASC or DESC
}

func newSearch(organization uuid.UUID, f Filter, after *cursor, newestFirst bool, limit int) search {
	s := search{
		filter: f, conditions: []string{"e.organization_id = @organization"},
		values: map[string]any{"organization": organization, "limit": limit}, direction: "ASC",
	}
	if f.ActorID != uuid.Nil {
		s.add("e.actor_id = @actor", "actor", f.ActorID)
	}
	s.addAction(f.Action)
	if f.Outcome != "" {
		s.add("e.outcome = @outcome", "outcome", string(f.Outcome))
	}
	if !f.From.IsZero() {
		s.add("e.occurred_at >= @from", "from", f.From)
		s.addDay(">=", "fromDay", f.From)
	}
	if !f.To.IsZero() {
		s.add("e.occurred_at < @to", "to", f.To)
		s.addDay("<=", "toDay", f.To)
	}
	sign := ">"
	if newestFirst {
		sign, s.direction = "<", "DESC"
	}
	if after != nil {
		s.add("(e.occurred_at, e.sequence) "+sign+" (@at, @sequence)", "at", after.OccurredAt)
		s.values["sequence"] = after.Sequence
		s.addDay(sign+"=", "atDay", after.OccurredAt)
	}
	return s
}

// addDay adds a condition for the days of lists, so that a search starts at its first day.
func (s *search) addDay(operator, name string, at time.Time) {
	s.days = append(s.days, "r.day "+operator+" CAST(@"+name+" AS date)")
	s.values[name] = at.UTC().Format(time.DateOnly)
}

func (s *search) add(condition, name string, value any) {
	s.conditions = append(s.conditions, condition)
	s.values[name] = value
}

// addAction adds the condition of an action or its prefix. A read of records of several types has the action of one of
// them, and matches the actions of all.
func (s *search) addAction(action string) {
	noun, isPrefix := strings.CutSuffix(action, ".")
	condition := "e.action = @action"
	if isPrefix {
		condition = "starts_with(e.action, @action)"
	} else {
		var isRead bool
		if noun, isRead = strings.CutSuffix(action, ".read"); !isRead {
			noun = ""
		}
	}
	if action == "" {
		return
	}
	if noun != "" {
		condition = "(" + condition + ` OR e.action LIKE '%.read' AND strpos(e.after::json #>> '{list,types}', @type) > 0)`
		s.values["type"] = `"` + noun + `"`
	}
	s.add(condition, "action", action)
}

// statement returns the statement and its named arguments. It searches the trail and the restored events.
func (s search) statement() (string, map[string]any) {
	order := "e.occurred_at " + s.direction + ", e.sequence " + s.direction
	page := " ORDER BY " + order + " LIMIT @limit"
	columns := "SELECT " + eventColumns + ", CAST(NULL AS bigint) AS position, CAST(NULL AS bytea) AS hash"
	events := s.from(columns, "audit_events", order, page)
	restored := s.from("SELECT "+eventColumns+", e.position, e.hash", "audit_restored_events", order, page)
	return `
		WITH e AS (SELECT e.* FROM ((` + events + ") UNION ALL (" + restored + ")) e" + page + `)
		SELECT ` + eventColumns + `, coalesce(s.position, e.position) AS position, coalesce(s.hash, e.hash) AS hash,
			l.records
		FROM e LEFT JOIN LATERAL (
			SELECT * FROM audit_seals s
			WHERE s.organization_id = e.organization_id AND s.occurred_at = e.occurred_at AND s.sequence = e.sequence
				OFFSET 0) s ON true
		LEFT JOIN audit_lists l ON l.organization_id = e.organization_id AND l.id = e.subject_id
		ORDER BY ` + order, s.values
}

// from returns a page of the matching events of a table.
func (s search) from(columns, table, order, page string) string {
	events := columns + " FROM " + table + " e WHERE " + strings.Join(s.conditions, " AND ")
	if s.filter.PatientID != uuid.Nil {
		events += " AND e.patient_id = @patient"
		s.values["patient"] = s.filter.PatientID
	}
	if s.filter.SubjectID != uuid.Nil {
		events += " AND e.subject_id = @subject"
		s.values["subject"] = s.filter.SubjectID
	}
	events += page
	if named := s.namedInLists(); named != "" {
		events = "SELECT e.* FROM ((" + events + ") UNION ALL (" + columns + ` FROM audit_list_records r
			JOIN ` + table + ` e ON e.organization_id = r.organization_id AND e.subject_id = r.list_id
				AND e.occurred_at >= r.day::timestamp AT TIME ZONE 'UTC'
				AND e.occurred_at < (r.day + 1)::timestamp AT TIME ZONE 'UTC'
			WHERE r.organization_id = @organization AND ` + named + " AND " +
			strings.Join(slices.Concat(s.days, s.conditions), " AND ") + `
			ORDER BY r.day ` + s.direction + ", " + order + " LIMIT @limit)) e" + page
	}
	return events
}

// namedInLists returns the condition of the lists that name the patient and the subject of the filter; empty if it has
// neither.
func (s search) namedInLists() string {
	hasPatient, hasSubject := s.filter.PatientID != uuid.Nil, s.filter.SubjectID != uuid.Nil
	switch {
	case hasPatient && hasSubject:
		s.values["patientText"], s.values["subjectText"] = s.filter.PatientID.String(), s.filter.SubjectID.String()
		return `r.record_id = @subject AND NOT r.as_patient AND EXISTS (
				SELECT FROM audit_lists l CROSS JOIN json_each(l.records::json) t
				WHERE l.organization_id = r.organization_id AND l.id = r.list_id
				  AND jsonb_exists((t.value -> @patientText)::jsonb, @subjectText))`
	case hasSubject:
		return "r.record_id = @subject AND NOT r.as_patient"
	case hasPatient: // a list of one patient has events with this patient
		return "r.record_id = @patient AND r.as_patient AND e.patient_id IS DISTINCT FROM @patient"
	}
	return ""
}
