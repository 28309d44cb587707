package e2e

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// The size of the export of a benchmark: a month of a large practice.
const (
	benchedPatients = 40
	linesPerPatient = 250
	benchedLines    = benchedPatients * linesPerPatient
)

// copySessions copies each session to other times of four weeks, with its appointment. The copies do not
// overlap. The ledger does not have them, because exports do not read it.
const copySessions = `
	WITH copies AS (
		SELECT s.id AS source, s.appointment_id AS source_appointment, gen_random_uuid() AS id,
			gen_random_uuid() AS appointment_id, n % 28 AS days, make_interval(days => n % 28, mins => n / 28 * 15) AS shift
		FROM sessions s, generate_series(1, $1::integer) AS n
	), copied_appointments AS (
		INSERT INTO appointments SELECT (jsonb_populate_record(a, jsonb_build_object(
			'id', c.appointment_id, 'session_id', c.id, 'starts_at', a.starts_at + c.shift, 'ends_at', a.ends_at + c.shift,
			'service_date', a.service_date + c.days))).*
		FROM copies c JOIN appointments a ON a.id = c.source_appointment
	), copied_patients AS (
		INSERT INTO appointment_patients SELECT (jsonb_populate_record(p, jsonb_build_object(
			'appointment_id', c.appointment_id, 'starts_at', p.starts_at + c.shift, 'ends_at', p.ends_at + c.shift,
			'worked_starts_at', p.worked_starts_at + c.shift, 'worked_ends_at', p.worked_ends_at + c.shift))).*
		FROM copies c JOIN appointment_patients p ON p.appointment_id = c.source_appointment
	), copied_practitioners AS (
		INSERT INTO appointment_practitioners SELECT (jsonb_populate_record(p, jsonb_build_object(
			'appointment_id', c.appointment_id, 'starts_at', p.starts_at + c.shift, 'ends_at', p.ends_at + c.shift,
			'worked_starts_at', p.worked_starts_at + c.shift, 'worked_ends_at', p.worked_ends_at + c.shift))).*
		FROM copies c JOIN appointment_practitioners p ON p.appointment_id = c.source_appointment
	), copied_sessions AS (
		INSERT INTO sessions SELECT (jsonb_populate_record(s, jsonb_build_object(
			'id', c.id, 'appointment_id', c.appointment_id, 'starts_at', s.starts_at + c.shift, 'ends_at', s.ends_at + c.shift,
			'service_date', s.service_date + c.days))).*
		FROM copies c JOIN sessions s ON s.id = c.source
	)
	INSERT INTO session_patients SELECT (jsonb_populate_record(p, jsonb_build_object('session_id', c.id))).*
	FROM copies c JOIN session_patients p ON p.session_id = c.source`

// BenchmarkExport exports 10,000 ready lines of a month. The goal is five seconds.
func BenchmarkExport(b *testing.B) {
	o := openBillingOffice(b)
	for i := range benchedPatients {
		patient := o.AddPatient(b)
		granted := o.grant(b, o.insure(b, patient, harness.Body{}), fmt.Sprintf("B-%d", i), harness.Body{
			"patientId": patient, "startDate": o.Date(b, -60),
		})
		booked := o.Book(b, o.Booking(granted, o.hire(b, npiOf(30000000+i)), o.At(b, -29, "10:00"), 15*time.Minute,
			harness.Body{"patientId": patient, "placeOfService": "12"}))
		completed(b, o.Clinic, booked)
	}
	owner, err := sql.Open("pgx", o.Database.OwnerURL)
	require.NoError(b, err)
	defer owner.Close()
	_, err = owner.ExecContext(b.Context(), copySessions, linesPerPatient-1)
	require.NoError(b, err)
	_, err = owner.ExecContext(b.Context(), "ANALYZE")
	require.NoError(b, err)
	request := harness.Body{"payerId": o.payer, "from": o.Date(b, -29), "to": o.Date(b, -1)}
	b.ResetTimer()
	for range b.N {
		e := o.biller().Post(b, "/billing/exports", request)
		b.StopTimer()
		require.Equal(b, benchedLines, e.Number(b, "lines"))
		o.biller().Post(b, "/billing/exports/"+e.Created(b).String()+"/retract", harness.Body{"reason": "Benchmark."}).OK(b)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/benchedLines*1000, "µs/line")
}
