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
	if err := s.removeParticipants(ctx, shrunk); err != nil {
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
		a.Place.addTo(v)
		a.Clocking.addTo(v)
		v.OptionalText((*string)(a.CancellationParty)).OptionalUUID(a.CancellationReasonID).OptionalUUID(a.MakeUpFor)
		v.Bool(a.ExceedsMissedTime)
	})
	return db.Write(ctx, len(rows), `
		INSERT INTO appointments (
			organization_id, id, service_code_id, status, starts_at, ends_at, service_date, notes, series_id, session_id,
			started_at, cancelled_at, cancelled_by, cancel_reason, late_cancel, created_by, version, created_at, updated_at,
			reopened_at, reopened_by, reopen_reason, place_of_service, location_id, supervising_practitioner_id, time_zone,
			given_modifiers, clocked_in_at, clock_in_latitude, clock_in_longitude, clocked_out_at, clock_out_latitude,
			clock_out_longitude, cancellation_party, cancellation_reason_id, make_up_for, exceeds_missed_time)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[],
			$7::text[]::date[], $8::text[], $9::uuid[], $10::uuid[], $11::timestamptz[], $12::timestamptz[], $13::uuid[],
			$14::text[], $15::boolean[], $16::uuid[], $17::int[], $18::timestamptz[], $19::timestamptz[], $20::timestamptz[],
				$21::uuid[], $22::text[], $23::text[], $24::uuid[], $25::uuid[], $26::text[],
			$27::text[], $28::timestamptz[], $29::float8[], $30::float8[], $31::timestamptz[], $32::float8[], $33::float8[],
			$34::text[], $35::uuid[], $36::uuid[], $37::boolean[])
		ON CONFLICT (organization_id, id) DO UPDATE SET
			status = excluded.status, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
			service_date = excluded.service_date, notes = excluded.notes, series_id = excluded.series_id,
			session_id = excluded.session_id, started_at = excluded.started_at, cancelled_at = excluded.cancelled_at,
			cancelled_by = excluded.cancelled_by, cancel_reason = excluded.cancel_reason, late_cancel = excluded.late_cancel,
			reopened_at = excluded.reopened_at, reopened_by = excluded.reopened_by, reopen_reason = excluded.reopen_reason,
			place_of_service = excluded.place_of_service, location_id = excluded.location_id,
			supervising_practitioner_id = excluded.supervising_practitioner_id, time_zone = excluded.time_zone,
			given_modifiers = excluded.given_modifiers,
			clocked_in_at = excluded.clocked_in_at, clock_in_latitude = excluded.clock_in_latitude,
			clock_in_longitude = excluded.clock_in_longitude, clocked_out_at = excluded.clocked_out_at,
			clock_out_latitude = excluded.clock_out_latitude, clock_out_longitude = excluded.clock_out_longitude,
			cancellation_party = excluded.cancellation_party,
			cancellation_reason_id = excluded.cancellation_reason_id,
				version = excluded.version, updated_at = excluded.updated_at`, columns...)
}

// upsertPatients writes patients' parts, in order.
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
		v.Text(string(r.p.Track)).Text(r.p.Code).Time(r.Start, r.End).Bool(r.Status.Occupies() && !r.p.Absent)
		from, until := r.workedBy(r.p).times()
		v.OptionalTime(from).OptionalTime(until).Text(string(r.p.Rounding.Basis)).OptionalBigint(r.p.Consumption)
		v.Bool(r.p.Absent)
		v.OptionalText(r.TimeZone).Text(string(r.p.Modifiers))
	})
	return db.Write(ctx, len(rows), `
		INSERT INTO appointment_patients (
			organization_id, appointment_id, patient_id, position, authorization_id, reservation_id, units, minutes,
			unit_minutes, rounding, rounding_starts_on, track, code, starts_at, ends_at, occupies, worked_starts_at,
			worked_ends_at, rounding_basis, consumption, absent, time_zone, modifiers)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::uuid[], $6::uuid[], $7::int[], $8::int[],
			$9::int[], $10::text[], $11::text[]::date[], $12::text[], $13::text[], $14::timestamptz[], $15::timestamptz[],
			$16::boolean[], $17::timestamptz[], $18::timestamptz[], $19::text[], $20::bigint[], $21::boolean[],
			$22::text[], $23::text[])
		ON CONFLICT (organization_id, appointment_id, position) DO UPDATE SET
			patient_id = excluded.patient_id, rounding_basis = excluded.rounding_basis, consumption = excluded.consumption,
			absent = excluded.absent, authorization_id = excluded.authorization_id, reservation_id = excluded.reservation_id, units = excluded.units,
			minutes = excluded.minutes, unit_minutes = excluded.unit_minutes, rounding = excluded.rounding,
			rounding_starts_on = excluded.rounding_starts_on, track = excluded.track, code = excluded.code,
			starts_at = excluded.starts_at, ends_at = excluded.ends_at, occupies = excluded.occupies,
			time_zone = excluded.time_zone, modifiers = excluded.modifiers,
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
		from, until := r.Worked.times()
		v.UUID(r.OrganizationID, r.ID, r.practitioner).Int(r.index).Time(r.Start, r.End).Bool(r.Status.Occupies())
		v.OptionalTime(from).OptionalTime(until)
	})
	return db.Write(ctx, len(rows), `
		INSERT INTO appointment_practitioners (organization_id, appointment_id, practitioner_id, position, starts_at, ends_at,
			occupies, worked_starts_at, worked_ends_at)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::timestamptz[], $6::timestamptz[],
			$7::boolean[], $8::timestamptz[], $9::timestamptz[])
		ON CONFLICT (organization_id, appointment_id, position) DO UPDATE SET
			practitioner_id = excluded.practitioner_id, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
			occupies = excluded.occupies,
			worked_starts_at = excluded.worked_starts_at, worked_ends_at = excluded.worked_ends_at`, columns...)
}

// removeParticipants deletes the rows of removed practitioners and patients. It looks up rows one by
// one: in a join with the values, the planner would read the whole table, and SSI would lock it. It
// runs before the pipelined writes, because the number of rows is not known. Index: the primary key.
func (store) removeParticipants(ctx context.Context, shrunk []Appointment) error {
	tx, err := db.Handle(ctx)
	if err != nil || len(shrunk) == 0 {
		return err
	}
	for table, remaining := range map[string]func(Appointment) int{
		"appointment_practitioners": func(a Appointment) int { return len(a.Practitioners) },
		"appointment_patients":      func(a Appointment) int { return len(a.Patients) },
	} {
		columns := db.Columns(shrunk, func(v *db.Values, a Appointment) {
			v.UUID(a.OrganizationID, a.ID).Int(remaining(a))
		})
		statement := db.ByRows("DELETE FROM "+table+" WHERE {rows}", db.Rows{
			Key: []string{"organization_id", "appointment_id", "position"},
			Query: `SELECT f.{row} FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS k (organization_id, id, remaining)
				CROSS JOIN LATERAL (
					SELECT t.{row} FROM ` + table + ` t
					WHERE t.organization_id = k.organization_id AND t.appointment_id = k.id
						AND t.position >= k.remaining OFFSET 0) f`,
		})
		err := tx.Exec(statement.For(ctx), columns...).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// saveSessions writes new sessions, and new versions of existing ones. A session occurs once.
func (s store) saveSessions(ctx context.Context, sessions []Session) error {
	if len(sessions) == 0 {
		return nil
	}
	var existing []Session
	for _, each := range sessions {
		if each.Version > 1 {
			existing = append(existing, each)
		}
	}
	if err := s.archive(ctx, existing); err != nil {
		return err
	}
	columns := db.Columns(sessions, func(v *db.Values, s Session) {
		v.UUID(s.OrganizationID, s.ID, s.AppointmentID).Time(s.Start, s.End).Date(s.ServiceDate).OptionalText(s.Narrative)
		v.Int(s.UnauthorizedUnits).UUID(s.CreatedBy).Int(s.Version).Text(string(s.Change)).OptionalUUID(s.ChangedBy)
		v.OptionalText(s.ChangeReason).OptionalTime(s.VoidedAt).Time(s.CreatedAt, s.UpdatedAt)
		v.OptionalText(s.OverlapReason).OptionalUUID(s.OverlapAcceptedBy)
		s.Place.addTo(v)
	})
	err := db.Write(ctx, len(sessions), `
		INSERT INTO sessions (
			organization_id, id, appointment_id, starts_at, ends_at, service_date, narrative, unauthorized_units, created_by,
			version, change, changed_by, change_reason, voided_at, created_at, updated_at, overlap_reason,
			overlap_accepted_by, place_of_service, location_id, supervising_practitioner_id, time_zone, given_modifiers)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[],
			$6::text[]::date[], $7::text[], $8::int[], $9::uuid[], $10::int[], $11::text[], $12::uuid[], $13::text[],
			$14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::text[], $18::uuid[],
			$19::text[], $20::uuid[], $21::uuid[], $22::text[], $23::text[])
		ON CONFLICT (organization_id, id) DO UPDATE SET
			starts_at = excluded.starts_at, ends_at = excluded.ends_at, service_date = excluded.service_date,
			unauthorized_units = excluded.unauthorized_units, version = excluded.version, change = excluded.change,
			changed_by = excluded.changed_by, change_reason = excluded.change_reason, voided_at = excluded.voided_at,
			overlap_reason = excluded.overlap_reason, overlap_accepted_by = excluded.overlap_accepted_by,
			place_of_service = excluded.place_of_service, location_id = excluded.location_id,
			supervising_practitioner_id = excluded.supervising_practitioner_id, time_zone = excluded.time_zone,
			given_modifiers = excluded.given_modifiers,
			updated_at = excluded.updated_at`, columns...)
	if err != nil {
		return err
	}
	return s.insertSessionPatients(ctx, sessions)
}

// archive keeps the stored versions of sessions, and deletes their patients' parts, so that new ones
// can be inserted. It runs before the pipelined writes, because the number of parts is not known.
// Index: the primary keys.
func (store) archive(ctx context.Context, sessions []Session) error {
	if len(sessions) == 0 {
		return nil
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	columns := db.Columns(sessions, func(v *db.Values, s Session) { v.UUID(s.OrganizationID, s.ID) })
	const keys = `unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)`
	for _, statement := range []string{
		`INSERT INTO session_versions (organization_id, session_id, version, change, changed_by, changed_at, change_reason,
				starts_at, ends_at, service_date, practitioner_ids, unauthorized_units,
				place_of_service, location_id, supervising_practitioner_id, time_zone, given_modifiers)
			SELECT s.organization_id, s.id, s.version, s.change, coalesce(s.changed_by, s.created_by), s.updated_at,
				s.change_reason, s.starts_at, s.ends_at, s.service_date,
				ARRAY(SELECT p.practitioner_id FROM appointment_practitioners p
					WHERE p.organization_id = s.organization_id AND p.appointment_id = s.appointment_id ORDER BY p.position),
				s.unauthorized_units, s.place_of_service, s.location_id, s.supervising_practitioner_id, s.time_zone,
				s.given_modifiers
			FROM ` + keys + ` CROSS JOIN LATERAL (
				SELECT * FROM sessions t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) s`,
		`INSERT INTO session_version_patients (organization_id, session_id, version, patient_id, position, authorization_id,
				minutes, units, unauthorized_units, unit_minutes, rounding, rounding_starts_on, rounding_basis, consumption,
				attended, starts_at, ends_at, modifiers)
			SELECT p.organization_id, p.session_id, s.version, p.patient_id, p.position, p.authorization_id,
				p.minutes, p.units, p.unauthorized_units, p.unit_minutes, p.rounding, p.rounding_starts_on, p.rounding_basis,
				p.consumption, p.attended, p.starts_at, p.ends_at, p.modifiers
			FROM ` + keys + ` CROSS JOIN LATERAL (
				SELECT * FROM sessions t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) s
			CROSS JOIN LATERAL (
				SELECT * FROM session_patients t WHERE t.organization_id = k.organization_id AND t.session_id = k.id OFFSET 0) p`,
		db.ByRows("DELETE FROM session_patients WHERE {rows}", db.Rows{
			Key: []string{"organization_id", "session_id", "patient_id"},
			Query: `SELECT f.{row} FROM ` + keys + ` CROSS JOIN LATERAL (
				SELECT t.{row} FROM session_patients t
				WHERE t.organization_id = k.organization_id AND t.session_id = k.id OFFSET 0) f`,
		}).For(ctx),
	} {
		if err := tx.Exec(statement, columns...).Error; err != nil {
			return err
		}
	}
	return nil
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
		v.Int(r.p.Minutes, r.p.Units, r.p.UnauthorizedUnits,
			r.p.UnitMinutes).Text(string(r.p.Rounding.Method)).Date(r.p.Rounding.StartsOn)
		from, until := r.p.Own.times()
		v.Text(string(r.p.Rounding.Basis)).OptionalBigint(r.p.Consumption).Bool(r.p.Attended)
		v.OptionalTime(from).OptionalTime(until).Text(string(r.p.Modifiers))
	})
	return db.Write(ctx, len(rows), `
		INSERT INTO session_patients (
			organization_id, session_id, patient_id, position, authorization_id, minutes, units, unauthorized_units,
			unit_minutes, rounding, rounding_starts_on, rounding_basis, consumption, attended, starts_at, ends_at,
			modifiers)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::uuid[], $6::int[], $7::int[], $8::int[],
			$9::int[], $10::text[], $11::text[]::date[], $12::text[], $13::bigint[], $14::boolean[],
			$15::timestamptz[], $16::timestamptz[], $17::text[])`, columns...)
}
