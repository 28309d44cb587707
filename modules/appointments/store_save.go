package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// save writes new and changed appointments with their participants. shrunk has those that lose a
// practitioner.
func (s store) save(ctx context.Context, changed, shrunk []Appointment) error {
	if len(changed) == 0 {
		return nil
	}
	if err := s.upsertAppointments(ctx, changed); err != nil {
		return err
	}
	if err := s.upsertPatients(ctx, changed); err != nil {
		return err
	}
	if err := s.removePlaces(ctx, shrunk); err != nil {
		return err
	}
	return s.upsertPractitioners(ctx, changed)
}

func (store) upsertAppointments(ctx context.Context, rows []Appointment) error {
	n := len(rows)
	organizations, ids, codes, creators := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	states, days, versions, late := make([]string, n), make([]string, n), make([]int, n), make([]bool, n)
	starts, ends, created, updated := make([]time.Time, n), make([]time.Time, n), make([]time.Time, n), make([]time.Time, n)
	notes, reasons := make([]*string, n), make([]*string, n)
	series, sessions, cancellers := make([]*uuid.UUID, n), make([]*uuid.UUID, n), make([]*uuid.UUID, n)
	started, cancelled := make([]*time.Time, n), make([]*time.Time, n)
	reopened, reopeners, reopenReasons := make([]*time.Time, n), make([]*uuid.UUID, n), make([]*string, n)
	for i, a := range rows {
		organizations[i], ids[i], codes[i], creators[i] = a.OrganizationID, a.ID, a.ServiceCodeID, a.CreatedBy
		states[i], days[i], versions[i], late[i] = string(a.Status), a.ServiceDate.String(), a.Version, a.LateCancel
		starts[i], ends[i], created[i], updated[i] = a.Start, a.End, a.CreatedAt, a.UpdatedAt
		notes[i], reasons[i] = a.Notes, a.CancelReason
		series[i], sessions[i], cancellers[i] = a.SeriesID, a.SessionID, a.CancelledBy
		started[i], cancelled[i] = a.StartedAt, a.CancelledAt
		reopened[i], reopeners[i], reopenReasons[i] = a.ReopenedAt, a.ReopenedBy, a.ReopenReason
	}
	return db.Write(ctx, n, `
		INSERT INTO appointments (
			organization_id, id, service_code_id, status, starts_at, ends_at, service_date, notes, series_id, session_id,
			started_at, cancelled_at, cancelled_by, cancel_reason, late_cancel, created_by, version, created_at, updated_at,
			reopened_at, reopened_by, reopen_reason)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[]::date[],
			$8::text[], $9::uuid[], $10::uuid[], $11::timestamptz[], $12::timestamptz[], $13::uuid[], $14::text[], $15::boolean[],
			$16::uuid[], $17::int[], $18::timestamptz[], $19::timestamptz[], $20::timestamptz[], $21::uuid[], $22::text[])
		ON CONFLICT (organization_id, id) DO UPDATE SET
			status = excluded.status, starts_at = excluded.starts_at, ends_at = excluded.ends_at, service_date = excluded.service_date,
			notes = excluded.notes, series_id = excluded.series_id, session_id = excluded.session_id, started_at = excluded.started_at,
			cancelled_at = excluded.cancelled_at, cancelled_by = excluded.cancelled_by, cancel_reason = excluded.cancel_reason,
			late_cancel = excluded.late_cancel, reopened_at = excluded.reopened_at, reopened_by = excluded.reopened_by,
			reopen_reason = excluded.reopen_reason, version = excluded.version, updated_at = excluded.updated_at`,
		db.UUIDs(organizations), db.UUIDs(ids), db.UUIDs(codes), states, starts, ends, days, notes, db.NullableUUIDs(series),
		db.NullableUUIDs(sessions),
		started, cancelled, db.NullableUUIDs(cancellers), reasons, late, db.UUIDs(creators), versions, created, updated,
		reopened, db.NullableUUIDs(reopeners), reopenReasons)
}

// upsertPatients writes patients' parts. The patients of an appointment never change, but their
// parts do.
func (store) upsertPatients(ctx context.Context, rows []Appointment) error {
	var organizations, appointments, patients, authorizations []uuid.UUID
	var reservations []*uuid.UUID
	var places, units, minutes, unitMinutes []int
	var methods, since, lanes, codes []string
	var starts, ends []time.Time
	var occupies []bool
	var workedStarts, workedEnds []*time.Time
	for _, a := range rows {
		for place, p := range a.Patients {
			organizations, appointments = append(organizations, a.OrganizationID), append(appointments, a.ID)
			patients, authorizations = append(patients, p.PatientID), append(authorizations, p.AuthorizationID)
			reservations, places, units = append(reservations, p.ReservationID), append(places, place), append(units, p.Units)
			minutes, unitMinutes = append(minutes, p.Minutes), append(unitMinutes, p.UnitMinutes)
			methods, since = append(methods, string(p.Rounding.Method)), append(since, p.Rounding.StartsOn.String())
			lanes, codes = append(lanes, string(p.Lane)), append(codes, p.Code)
			starts, ends, occupies = append(starts, a.Start), append(ends, a.End), append(occupies, a.Status.Occupies())
			from, until := a.workedTimes()
			workedStarts, workedEnds = append(workedStarts, from), append(workedEnds, until)
		}
	}
	return db.Write(ctx, len(patients), `
		INSERT INTO appointment_patients (
			organization_id, appointment_id, patient_id, place, authorization_id, reservation_id, units, minutes, unit_minutes,
			rounding, rounding_starts_on, lane, code, starts_at, ends_at, occupies, worked_starts_at, worked_ends_at)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::uuid[], $6::uuid[], $7::int[], $8::int[], $9::int[],
			$10::text[], $11::text[]::date[], $12::text[], $13::text[], $14::timestamptz[], $15::timestamptz[], $16::boolean[],
			$17::timestamptz[], $18::timestamptz[])
		ON CONFLICT (organization_id, appointment_id, place) DO UPDATE SET
			authorization_id = excluded.authorization_id, reservation_id = excluded.reservation_id, units = excluded.units,
			minutes = excluded.minutes, unit_minutes = excluded.unit_minutes, rounding = excluded.rounding,
			rounding_starts_on = excluded.rounding_starts_on, lane = excluded.lane, code = excluded.code,
			starts_at = excluded.starts_at, ends_at = excluded.ends_at, occupies = excluded.occupies,
			worked_starts_at = excluded.worked_starts_at, worked_ends_at = excluded.worked_ends_at`,
		db.UUIDs(organizations), db.UUIDs(appointments), db.UUIDs(patients), places, db.UUIDs(authorizations), db.NullableUUIDs(reservations),
		units, minutes, unitMinutes, methods, since, lanes, codes, starts, ends, occupies, workedStarts, workedEnds)
}

// upsertPractitioners writes the practitioners of appointments, in order.
func (store) upsertPractitioners(ctx context.Context, rows []Appointment) error {
	var organizations, appointments, practitioners []uuid.UUID
	var places []int
	var starts, ends []time.Time
	var occupies []bool
	var workedStarts, workedEnds []*time.Time
	for _, a := range rows {
		for place, id := range a.Practitioners {
			organizations, appointments = append(organizations, a.OrganizationID), append(appointments, a.ID)
			practitioners, places = append(practitioners, id), append(places, place)
			starts, ends, occupies = append(starts, a.Start), append(ends, a.End), append(occupies, a.Status.Occupies())
			from, until := a.workedTimes()
			workedStarts, workedEnds = append(workedStarts, from), append(workedEnds, until)
		}
	}
	return db.Write(ctx, len(practitioners), `
		INSERT INTO appointment_practitioners (organization_id, appointment_id, practitioner_id, place, starts_at, ends_at, occupies,
			worked_starts_at, worked_ends_at)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::timestamptz[], $6::timestamptz[], $7::boolean[],
			$8::timestamptz[], $9::timestamptz[])
		ON CONFLICT (organization_id, appointment_id, place) DO UPDATE SET
			practitioner_id = excluded.practitioner_id, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
			occupies = excluded.occupies,
			worked_starts_at = excluded.worked_starts_at, worked_ends_at = excluded.worked_ends_at`,
		db.UUIDs(organizations), db.UUIDs(appointments), db.UUIDs(practitioners), places, starts, ends, occupies, workedStarts, workedEnds)
}

// removePlaces deletes the rows of removed practitioners. It looks up rows one by one: in a join
// with the values, the planner would read the whole table, and SSI would lock it. It runs before
// the pipelined writes, because the number of rows is not known. Index: the primary key.
func (store) removePlaces(ctx context.Context, shrunk []Appointment) error {
	tx, err := db.Handle(ctx)
	if err != nil || len(shrunk) == 0 {
		return err
	}
	n := len(shrunk)
	organizations, ids, taken := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]int, n)
	for i, a := range shrunk {
		organizations[i], ids[i], taken[i] = a.OrganizationID, a.ID, len(a.Practitioners)
	}
	return tx.Exec(`
		DELETE FROM appointment_practitioners WHERE ctid = ANY (ARRAY(
			SELECT f.ctid FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS k (organization_id, id, taken)
			CROSS JOIN LATERAL (
				SELECT t.ctid FROM appointment_practitioners t
				WHERE t.organization_id = k.organization_id AND t.appointment_id = k.id AND t.place >= k.taken OFFSET 0) f))`,
		db.UUIDs(organizations), db.UUIDs(ids), taken).Error
}

// insertSessions writes sessions with their patients, one per appointment.
func (store) insertSessions(ctx context.Context, rows []Session) error {
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	organizations, ids, appointments, creators := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	starts, ends, created := make([]time.Time, n), make([]time.Time, n), make([]time.Time, n)
	days, narratives, unauthorized := make([]string, n), make([]*string, n), make([]int, n)
	var parts sessionParts
	for i, s := range rows {
		organizations[i], ids[i], appointments[i], creators[i] = s.OrganizationID, s.ID, s.AppointmentID, s.CreatedBy
		starts[i], ends[i], created[i] = s.Start, s.End, s.CreatedAt
		days[i], narratives[i], unauthorized[i] = s.ServiceDate.String(), s.Narrative, s.UnauthorizedUnits
		parts.add(s)
	}
	err := db.Write(ctx, n, `
		INSERT INTO sessions (
			organization_id, id, appointment_id, starts_at, ends_at, service_date, narrative, unauthorized_units, created_by, created_at, updated_at)
		SELECT s.*, s.created_at FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::text[]::date[],
			$7::text[], $8::int[], $9::uuid[], $10::timestamptz[]) AS s (
			organization_id, id, appointment_id, starts_at, ends_at, service_date, narrative, unauthorized_units, created_by, created_at)`,
		db.UUIDs(organizations), db.UUIDs(ids), db.UUIDs(appointments), starts, ends, days, narratives, unauthorized, db.UUIDs(creators), created)
	if err != nil {
		return err
	}
	return db.Write(ctx, len(parts.patients), `
		INSERT INTO session_patients (
			organization_id, session_id, patient_id, place, authorization_id, minutes, units, unauthorized_units, unit_minutes, rounding, rounding_starts_on)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::uuid[], $6::int[], $7::int[], $8::int[], $9::int[], $10::text[], $11::text[]::date[])`,
		db.UUIDs(parts.organizations), db.UUIDs(parts.sessions), db.UUIDs(parts.patients), parts.places, db.UUIDs(parts.authorizations),
		parts.minutes, parts.units, parts.unauthorized, parts.unitMinutes, parts.methods, parts.since)
}

// sessionParts has the patients of sessions as columns.
type sessionParts struct {
	organizations, sessions, patients, authorizations []uuid.UUID
	places, minutes, units, unauthorized, unitMinutes []int
	methods, since                                    []string
}

func (c *sessionParts) add(s Session) {
	for place, p := range s.Patients {
		c.organizations, c.sessions = append(c.organizations, s.OrganizationID), append(c.sessions, s.ID)
		c.patients, c.authorizations = append(c.patients, p.PatientID), append(c.authorizations, p.AuthorizationID)
		c.places, c.minutes, c.units = append(c.places, place), append(c.minutes, p.Minutes), append(c.units, p.Units)
		c.unauthorized, c.unitMinutes = append(c.unauthorized, p.UnauthorizedUnits), append(c.unitMinutes, p.UnitMinutes)
		c.methods, c.since = append(c.methods, string(p.Rounding.Method)), append(c.since, p.Rounding.StartsOn.String())
	}
}
