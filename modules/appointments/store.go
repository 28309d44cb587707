package appointments

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// store reads and writes appointments and sessions. It takes the transaction from the context and
// fails without one.
type store struct{}

// TableName returns the table name for gorm.
func (Appointment) TableName() string { return "appointments" }

// TableName returns the table name for gorm.
func (Session) TableName() string { return "sessions" }

// participantRow is the row of a patient's part in an appointment.
type participantRow struct {
	OrganizationID uuid.UUID
	AppointmentID  uuid.UUID
	Participant
	RoundingMethod   scheduling.Rounding
	RoundingStartsOn calendar.Date
	RoundingBasis    scheduling.Basis
	WorkedStartsAt   *time.Time // the patient's time in the session
	WorkedEndsAt     *time.Time
}

// worked returns the worked time of a row, or nil.
func worked(from, until *time.Time) *Span {
	if from == nil {
		return nil
	}
	return new(Span{*from, *until}.utc())
}

func (r participantRow) participant() Participant {
	p := r.Participant
	p.Rounding = scheduling.RoundingRule{StartsOn: r.RoundingStartsOn, Method: r.RoundingMethod, Basis: r.RoundingBasis}
	return p
}

// lookUp returns the rows that a query finds for keys; the two halves of the keys are its
// arguments. Without keys it runs no query. In the queries, OFFSET 0 makes each key a separate
// index lookup, even for small tables.
func lookUp[Row any](ctx context.Context, keys []record.Key, query string) ([]Row, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var rows []Row
	err := db.Read(ctx, db.Into(&rows, query, db.KeyColumns(keys)...))
	return rows, err
}

// appointmentReading reads appointments with their participants.
type appointmentReading struct {
	keys     []record.Key
	rows     []Appointment
	patients []participantRow
	staff    []staffRow
}

// staffRow is the row of a practitioner's part in an appointment.
type staffRow struct {
	OrganizationID, AppointmentID, PractitionerID uuid.UUID
	WorkedStartsAt, WorkedEndsAt                  *time.Time
}

// queries returns the queries that look up the keys, for one round trip; none without keys. Indexes: the
// primary keys.
func (r *appointmentReading) queries() []db.Query {
	r.rows = make([]Appointment, 0, len(r.keys))
	if len(r.keys) == 0 {
		return nil
	}
	return append([]db.Query{db.Into(&r.rows, `
		SELECT a.* FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM appointments t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) a`,
		db.KeyColumns(r.keys)...)}, r.participants()...)
}

// participants returns the queries that look up the participants only.
func (r *appointmentReading) participants() []db.Query {
	r.patients, r.staff = make([]participantRow, 0, len(r.keys)), make([]staffRow, 0, len(r.keys))
	columns := db.KeyColumns(r.keys)
	return []db.Query{db.Into(&r.patients, `
		SELECT p.*, p.rounding AS rounding_method FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM appointment_patients t WHERE t.organization_id = k.organization_id
				AND t.appointment_id = k.id OFFSET 0) p
		ORDER BY p.position`, columns...), db.Into(&r.staff, `
		SELECT p.organization_id, p.appointment_id, p.practitioner_id, p.worked_starts_at, p.worked_ends_at
		FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM appointment_practitioners t WHERE t.organization_id = k.organization_id
				AND t.appointment_id = k.id OFFSET 0) p
		ORDER BY p.position`, columns...)}
}

// appointments returns the appointments that were read, in the order of their rows.
func (r *appointmentReading) appointments() []Appointment {
	at := make(map[record.Key]*Appointment, len(r.rows))
	for i := range r.rows {
		at[r.rows[i].key()] = &r.rows[i]
	}
	for _, p := range r.patients {
		a := at[record.Of(p.OrganizationID, p.AppointmentID)]
		participant := p.participant()
		participant.Own = worked(p.WorkedStartsAt, p.WorkedEndsAt)
		a.Patients = append(a.Patients, participant)
	}
	for _, p := range r.staff {
		a := at[record.Of(p.OrganizationID, p.AppointmentID)]
		a.Practitioners = append(a.Practitioners, p.PractitionerID)
		a.Worked = worked(p.WorkedStartsAt, p.WorkedEndsAt)
	}
	for i := range r.rows {
		a := &r.rows[i]
		a.Span = a.Span.utc()
		for i := range a.Patients {
			if p := &a.Patients[i]; p.Own != nil && *p.Own == a.Occupied() {
				p.Own = nil
			}
		}
	}
	return r.rows
}

// several returns the existing appointments with their participants, in one round trip.
func (s store) several(ctx context.Context, keys []record.Key) (map[record.Key]Appointment, error) {
	if len(keys) == 0 {
		return map[record.Key]Appointment{}, nil
	}
	r := appointmentReading{keys: keys}
	if err := db.ReadAll(ctx, r.queries()...); err != nil {
		return nil, err
	}
	found := make(map[record.Key]Appointment, len(r.rows))
	for _, a := range r.appointments() {
		found[a.key()] = a
	}
	return found, nil
}

// withParticipants returns the appointments with their participants, in one round trip.
func (store) withParticipants(ctx context.Context, rows []Appointment) ([]Appointment, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	r := appointmentReading{rows: rows, keys: make([]record.Key, len(rows))}
	for i, a := range rows {
		r.keys[i] = a.key()
	}
	if err := db.ReadAll(ctx, r.participants()...); err != nil {
		return nil, err
	}
	return r.appointments(), nil
}

// slotRow is a slot with its participant.
type slotRow struct {
	OrganizationID uuid.UUID
	SubjectID      uuid.UUID
	AppointmentID  uuid.UUID
	Span
	Track    scheduling.Track
	Code     string
	TimeZone *string
	Entry    EntryKind // of a calendar entry
}

// slots returns the occupied time at the requested times, in one statement: booked time, and worked
// time of completed appointments, and calendar entries. No slot is longer than a day, so it also reads slots that begin a
// day before. Indexes: appointment_practitioners_by_start, appointment_patients_by_start, and the
// corresponding _by_worked_start, calendar_entry_practitioners_by_start.
func (store) slots(ctx context.Context, n needs) (occupied, error) {
	found := occupied{}
	if len(n.staff)+len(n.patients) == 0 {
		return found, nil
	}
	var rows []slotRow
	err := db.Read(ctx, db.Into(&rows, `
		SELECT p.organization_id, p.practitioner_id AS subject_id, p.appointment_id, p.taken_from AS starts_at,
			p.taken_until AS ends_at, '' AS track, '' AS code, NULL::text AS time_zone, '' AS entry
		FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[]) AS k (organization_id, id, since, until)
		CROSS JOIN LATERAL (`+takenBy("appointment_practitioners", "practitioner_id")+`) p
		UNION ALL
		SELECT p.organization_id, p.patient_id, p.appointment_id, p.taken_from, p.taken_until, p.track, p.code,
			p.time_zone, ''
		FROM unnest($5::uuid[], $6::uuid[], $7::timestamptz[], $8::timestamptz[]) AS k (organization_id, id, since, until)
		CROSS JOIN LATERAL (`+takenBy("appointment_patients", "patient_id")+`) p
		UNION ALL
		SELECT e.organization_id, e.practitioner_id, e.entry_id, e.starts_at, e.ends_at, '', '', NULL, e.kind
		FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[]) AS k (organization_id, id, since, until)
		CROSS JOIN LATERAL (
			SELECT * FROM calendar_entry_practitioners t WHERE t.organization_id = k.organization_id
				AND t.practitioner_id = k.id AND t.starts_at < k.until AND t.starts_at > k.since - interval '24 hours'
				AND t.ends_at > k.since OFFSET 0) e`,
		slices.Concat(spanColumns(n.staff), spanColumns(n.patients))...))
	for _, r := range rows {
		found.add(record.Of(r.OrganizationID, r.SubjectID), slot{
			Span: r.Span.utc(), appointment: r.AppointmentID, service: r.Track, code: r.Code, entry: r.Entry,
			Place: Place{TimeZone: r.TimeZone},
		})
	}
	return found, err
}

// takenBy selects, for a key k, a person's participations that occupy time between k.since and
// k.until: by worked time if it is known, otherwise by booked time.
func takenBy(table, person string) string {
	const arm = `
			SELECT t.*, t.%[3]sstarts_at AS taken_from, t.%[3]sends_at AS taken_until FROM %[1]s t
			WHERE t.organization_id = k.organization_id AND t.%[2]s = k.id AND t.%[3]sstarts_at < k.until
				AND t.%[3]sstarts_at > k.since - interval '24 hours' AND t.%[3]sends_at > k.since AND t.occupies
				AND t.worked_starts_at IS %[4]s`
	booked := fmt.Sprintf(arm, table, person, "", "NULL OFFSET 0")
	worked := fmt.Sprintf(arm, table, person, "worked_", "NOT NULL OFFSET 0")
	return `(` + booked + `) UNION ALL (` + worked + `)`
}

// spanColumns returns the spans of people as columns.
func spanColumns(requested map[record.Key][]Span) []any {
	type row struct {
		record.Key
		Span
	}
	var rows []row
	for key, spans := range requested {
		for _, span := range spans {
			rows = append(rows, row{key, span})
		}
	}
	return db.Columns(rows, func(v *db.Values, r row) { v.Key(r.Key).Time(r.Start, r.End) })
}

// constraints maps database constraints to errors. The rules in decide are checked first; the
// constraints are the last line of defense.
var constraints = map[string]*fault.Error{
	"appointment_practitioners_in_one_place":  ErrPractitionerOverlap,
	"appointment_patients_once_in_each_track": ErrPatientOverlap,
	"appointments_times_in_order":             fault.ErrInvalid,
	"appointments_whole_minutes":              fault.ErrInvalid,
	"appointment_practitioners_practitioner":  fault.ErrInvalid,
	"appointment_patients_patient":            fault.ErrInvalid,
	"appointment_patients_authorization":      fault.ErrInvalid,
	"sessions_one_for_each_appointment":       ErrTransition,
}

func refusalOfConstraint(err error) error {
	if refusal, ok := constraints[db.ConstraintOf(err)]; ok {
		return refusal.Because(err)
	}
	return err
}
