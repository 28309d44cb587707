package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// save writes new and changed appointments with their participants. shrunk has the ones that lose a
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
	if err := s.removePractitioners(ctx, shrunk); err != nil {
		return err
	}
	return s.upsertPractitioners(ctx, changed)
}

func (store) upsertAppointments(ctx context.Context, rows []Appointment) error {
	columns := db.Columns(rows, func(v *db.Values, a Appointment) {
		v.UUID(a.OrganizationID, a.ID, a.ServiceCodeID).Text(string(a.Status)).Time(a.Start, a.End).Date(a.ServiceDate)
		v.OptionalText(a.Notes).OptionalUUID(a.SeriesID).OptionalUUID(a.SessionID).OptionalTime(a.StartedAt)
		v.OptionalTime(a.CancelledAt).OptionalUUID(a.CancelledBy).OptionalText(a.CancelReason).Bool(a.LateCancel)
		v.UUID(a.CreatedBy).Int(a.Version).Time(a.CreatedAt, a.UpdatedAt)
		v.OptionalTime(a.ReopenedAt).OptionalUUID(a.ReopenedBy).OptionalText(a.ReopenReason)
	})
	return db.Write(ctx, len(rows), `
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
			reopen_reason = excluded.reopen_reason, version = excluded.version, updated_at = excluded.updated_at`, columns...)
}

// upsertPatients writes patients' parts. The patients of an appointment never change, but their
// parts do.
func (store) upsertPatients(ctx context.Context, appointments []Appointment) error {
	type row struct {
		Appointment
		index int
		p     Participant
	}
	var rows []row
	for _, a := range appointments {
		for i, p := range a.Patients {
			rows = append(rows, row{a, i, p})
		}
	}
	columns := db.Columns(rows, func(v *db.Values, r row) {
		v.UUID(r.OrganizationID, r.ID, r.p.PatientID).Int(r.index).UUID(r.p.AuthorizationID).OptionalUUID(r.p.ReservationID)
		v.Int(r.p.Units, r.p.Minutes, r.p.UnitMinutes).Text(string(r.p.Rounding.Method)).Date(r.p.Rounding.StartsOn)
		v.Text(string(r.p.Track)).Text(r.p.Code).Time(r.Start, r.End).Bool(r.Status.Occupies())
		from, until := r.workedTimes()
		v.OptionalTime(from).OptionalTime(until)
	})
	return db.Write(ctx, len(rows), `
		INSERT INTO appointment_patients (
			organization_id, appointment_id, patient_id, position, authorization_id, reservation_id, units, minutes, unit_minutes,
			rounding, rounding_starts_on, track, code, starts_at, ends_at, occupies, worked_starts_at, worked_ends_at)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::uuid[], $6::uuid[], $7::int[], $8::int[], $9::int[],
			$10::text[], $11::text[]::date[], $12::text[], $13::text[], $14::timestamptz[], $15::timestamptz[], $16::boolean[],
			$17::timestamptz[], $18::timestamptz[])
		ON CONFLICT (organization_id, appointment_id, position) DO UPDATE SET
			authorization_id = excluded.authorization_id, reservation_id = excluded.reservation_id, units = excluded.units,
			minutes = excluded.minutes, unit_minutes = excluded.unit_minutes, rounding = excluded.rounding,
			rounding_starts_on = excluded.rounding_starts_on, track = excluded.track, code = excluded.code,
			starts_at = excluded.starts_at, ends_at = excluded.ends_at, occupies = excluded.occupies,
			worked_starts_at = excluded.worked_starts_at, worked_ends_at = excluded.worked_ends_at`, columns...)
}

// upsertPractitioners writes the practitioners of appointments, in order.
func (store) upsertPractitioners(ctx context.Context, appointments []Appointment) error {
	type row struct {
		Appointment
		index        int
		practitioner uuid.UUID
	}
	var rows []row
	for _, a := range appointments {
		for i, id := range a.Practitioners {
			rows = append(rows, row{a, i, id})
		}
	}
	columns := db.Columns(rows, func(v *db.Values, r row) {
		from, until := r.workedTimes()
		v.UUID(r.OrganizationID, r.ID, r.practitioner).Int(r.index).Time(r.Start, r.End).Bool(r.Status.Occupies())
		v.OptionalTime(from).OptionalTime(until)
	})
	return db.Write(ctx, len(rows), `
		INSERT INTO appointment_practitioners (organization_id, appointment_id, practitioner_id, position, starts_at, ends_at, occupies,
			worked_starts_at, worked_ends_at)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::timestamptz[], $6::timestamptz[], $7::boolean[],
			$8::timestamptz[], $9::timestamptz[])
		ON CONFLICT (organization_id, appointment_id, position) DO UPDATE SET
			practitioner_id = excluded.practitioner_id, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
			occupies = excluded.occupies,
			worked_starts_at = excluded.worked_starts_at, worked_ends_at = excluded.worked_ends_at`, columns...)
}

// removePractitioners deletes the rows of removed practitioners. It looks up rows one by one: in a
// join with the values, the planner would read the whole table, and SSI would lock it. It runs
// before the pipelined writes, because the number of rows is not known. Index: the primary key.
func (store) removePractitioners(ctx context.Context, shrunk []Appointment) error {
	tx, err := db.Handle(ctx)
	if err != nil || len(shrunk) == 0 {
		return err
	}
	columns := db.Columns(shrunk, func(v *db.Values, a Appointment) { v.UUID(a.OrganizationID, a.ID).Int(len(a.Practitioners)) })
	return tx.Exec(`
		DELETE FROM appointment_practitioners WHERE ctid = ANY (ARRAY(
			SELECT f.ctid FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS k (organization_id, id, remaining)
			CROSS JOIN LATERAL (
				SELECT t.ctid FROM appointment_practitioners t
				WHERE t.organization_id = k.organization_id AND t.appointment_id = k.id AND t.position >= k.remaining OFFSET 0) f))`,
		columns...).Error
}

// insertSessions writes sessions with their patients, one per appointment.
func (s store) insertSessions(ctx context.Context, sessions []Session) error {
	if len(sessions) == 0 {
		return nil
	}
	columns := db.Columns(sessions, func(v *db.Values, s Session) {
		v.UUID(s.OrganizationID, s.ID, s.AppointmentID).Time(s.Start, s.End).Date(s.ServiceDate).OptionalText(s.Narrative)
		v.Int(s.UnauthorizedUnits).UUID(s.CreatedBy).Time(s.CreatedAt)
	})
	err := db.Write(ctx, len(sessions), `
		INSERT INTO sessions (
			organization_id, id, appointment_id, starts_at, ends_at, service_date, narrative, unauthorized_units, created_by, created_at, updated_at)
		SELECT s.*, s.created_at FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::text[]::date[],
			$7::text[], $8::int[], $9::uuid[], $10::timestamptz[]) AS s (
			organization_id, id, appointment_id, starts_at, ends_at, service_date, narrative, unauthorized_units, created_by, created_at)`,
		columns...)
	if err != nil {
		return err
	}
	return s.insertSessionPatients(ctx, sessions)
}

func (store) insertSessionPatients(ctx context.Context, sessions []Session) error {
	type row struct {
		Session
		index int
		p     SessionPatient
	}
	var rows []row
	for _, s := range sessions {
		for i, p := range s.Patients {
			rows = append(rows, row{s, i, p})
		}
	}
	columns := db.Columns(rows, func(v *db.Values, r row) {
		v.UUID(r.OrganizationID, r.ID, r.p.PatientID).Int(r.index).UUID(r.p.AuthorizationID)
		v.Int(r.p.Minutes, r.p.Units, r.p.UnauthorizedUnits, r.p.UnitMinutes).Text(string(r.p.Rounding.Method)).Date(r.p.Rounding.StartsOn)
	})
	return db.Write(ctx, len(rows), `
		INSERT INTO session_patients (
			organization_id, session_id, patient_id, position, authorization_id, minutes, units, unauthorized_units, unit_minutes,
			rounding, rounding_starts_on)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::uuid[], $6::int[], $7::int[], $8::int[], $9::int[],
			$10::text[], $11::text[]::date[])`, columns...)
}
