package appointments

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"database/sql"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// idFrom returns md5(text)::uuid.
func idFrom(text string) uuid.UUID { return md5.Sum([]byte(text)) }

// filled returns a database with years of appointments of five practices.
func filled(t *testing.T) *db.DB {
	t.Helper()
	database := dbtest.New(t)
	owner, err := sql.Open("pgx", database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	for _, statement := range []string{
		`DO $$ DECLARE c record; BEGIN -- what is referred to is not there
			FOR c IN SELECT conrelid::regclass AS name, conname FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 LOOP
				EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.name, c.conname);
			END LOOP; END $$`,
		`INSERT INTO organizations (id, name, time_zone, version, created_at, updated_at)
			SELECT md5(n::text)::uuid, 'x', 'UTC', 1, '2026-01-01Z', '2026-01-01Z' FROM generate_series(0, 4) n`,
		`CREATE TEMP TABLE visits AS
			SELECT n, md5((n % 5)::text)::uuid AS organization_id, md5('a' || n)::uuid AS id, md5('u' || n / 5 % 20)::uuid AS who,
				md5('p' || n / 5 % 40)::uuid AS patient_id, md5('z' || n / 5 % 400)::uuid AS authorization_id, at, at + interval '1 hour' AS ends_at
			FROM generate_series(1, 20000) n, LATERAL (SELECT '2026-01-01Z'::timestamptz + n * interval '1 hour' AS at) a`,
		`INSERT INTO appointments (organization_id, id, service_code_id, status, starts_at, ends_at, service_date,
			series_id, session_id, created_by, created_at, updated_at)
			SELECT organization_id, id, id, CASE WHEN n % 3 = 0 THEN 'COMPLETED' ELSE 'SCHEDULED' END, at, ends_at, at::date,
			md5('s' || n / 50)::uuid,
				CASE WHEN n % 3 = 0 THEN id END, id, at, at FROM visits`,
		`INSERT INTO appointment_patients (organization_id, appointment_id, patient_id, position, authorization_id, units,
			minutes, unit_minutes, rounding,
				rounding_starts_on, track, code, starts_at, ends_at, occupies, worked_starts_at, worked_ends_at)
			SELECT organization_id, id, patient_id, 0, authorization_id, 4, 60, 15, 'CEIL', '0001-01-01', 'DIRECT', '97153',
			at, ends_at, true, CASE WHEN n % 3 = 0 THEN at END, CASE WHEN n % 3 = 0 THEN ends_at END FROM visits`,
		`INSERT INTO appointment_practitioners (organization_id, appointment_id, position, practitioner_id, starts_at, ends_at, occupies,
				worked_starts_at, worked_ends_at)
			SELECT organization_id, id, 0, who, at, ends_at, true, CASE WHEN n % 3 = 0 THEN at END,
				CASE WHEN n % 3 = 0 THEN ends_at END FROM visits`,
		`INSERT INTO sessions (organization_id, id, appointment_id, starts_at, ends_at, service_date, unauthorized_units,
			created_by, created_at, updated_at)
			SELECT organization_id, id, id, at, ends_at, at::date, (n % 60 = 0)::int, id, at, at FROM visits WHERE n % 3 = 0`,
		`INSERT INTO session_patients SELECT (jsonb_populate_record(NULL::session_patients, jsonb_build_object(
				'organization_id', organization_id, 'session_id', id, 'patient_id', patient_id, 'position', 0,
				'authorization_id', authorization_id, 'units', 4,
				'unauthorized_units', 0, 'minutes', 60, 'unit_minutes', 15, 'rounding', 'CEIL',
				'rounding_starts_on', '0001-01-01', 'rounding_basis', 'SESSION', 'attended', true, 'modifiers', '', 'track', 'DIRECT'))).*
			FROM visits WHERE n % 3 = 0`,
		`INSERT INTO calendar_feeds (organization_id, id, practitioner_id, token_hash, created_by, created_at)
			SELECT organization_id, id, id, sha256(n::text::bytea), id, at FROM visits WHERE n <= 5000`,
		`INSERT INTO practitioner_availability (organization_id, practitioner_id, rules, version, updated_at)
			SELECT organization_id, id, '{}', 1, at FROM visits WHERE n <= 5000`,
		`ANALYZE`,
	} {
		_, err = owner.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	return database.Open(t)
}

// TestReadsOfAFilledDatabase runs every query of appointments on a database with years of them. It
// checks in PostgreSQL's statistics that none reads a whole table.
func TestReadsOfAFilledDatabase(t *testing.T) {
	t.Parallel()
	opened := filled(t)
	s := store{}
	organization, someday := idFrom("1"), time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	ctx := identity.With(t.Context(), identity.System(organization))
	page := db.Keyset{Column: "starts_at", Expression: "CAST(%s AS timestamptz)", Limit: 21}
	next := page
	next.After = &db.Position{Value: someday.Format(time.RFC3339Nano), ID: uuid.New()}
	week, ever := Span{someday, someday.AddDate(0, 0, 7)}, Span{}
	who, patient := idFrom("u7"), idFrom("p7")
	ofPractitioner := Participants{Practitioners: []uuid.UUID{who}}
	ofPatient := Participants{Patients: []uuid.UUID{patient}}
	ofBoth := Participants{Patients: ofPatient.Patients, Practitioners: ofPractitioner.Practitioners}
	ofSeveral := Participants{Practitioners: []uuid.UUID{who, idFrom("u8")}}
	ofAuthorizations := Participants{Authorizations: []uuid.UUID{idFrom("z7"), idFrom("z8")}}
	key := record.Of(organization, idFrom("a5001"))
	list := func(f Filter, within Span) func(context.Context) error {
		return func(ctx context.Context) error { _, err := s.list(ctx, f, within); return err }
	}
	sessions := func(f SessionFilter, within Span) func(context.Context) error {
		return func(ctx context.Context) error { return readSessions(ctx, f, within, narrowing{}) }
	}
	for it, read := range map[string]func(context.Context) error{
		"a week":                         list(Filter{Page: page}, week),
		"the first page of all":          list(Filter{Page: page}, ever),
		"the next page of all":           list(Filter{Page: next}, ever),
		"scheduled appointments":         list(Filter{Page: page, Statuses: []Status{Scheduled}}, week),
		"a practitioner's week":          list(Filter{Page: page, Participants: ofPractitioner}, week),
		"a patient's week":               list(Filter{Page: page, Participants: ofPatient}, week),
		"a patient's appointments":       list(Filter{Page: page, Participants: ofPatient}, ever),
		"a practitioner's and patient's": list(Filter{Page: page, Participants: ofBoth}, week),
		"two practitioners' week":        list(Filter{Page: page, Participants: ofSeveral}, week),
		"two authorizations' week":       list(Filter{Page: page, Participants: ofAuthorizations}, week),
		"a week at a location":           list(Filter{Page: page, Locations: []uuid.UUID{idFrom("l1")}}, week),
		"a week of a service":            list(Filter{Page: page, ServiceCodes: []uuid.UUID{idFrom("c1")}}, week),
		"two practitioners' sessions":    sessions(SessionFilter{Page: page, Participants: ofSeveral}, week),
		"two authorizations' sessions":   sessions(SessionFilter{Page: page, Participants: ofAuthorizations}, week),
		"a service's sessions":           sessions(SessionFilter{Page: page, ServiceCodes: []uuid.UUID{idFrom("c1")}}, week),
		"a series":                       list(Filter{Page: page, SeriesID: idFrom("s100")}, ever),
		"sessions of a week":             sessions(SessionFilter{Page: page}, week),
		"the exceptions list":            sessions(SessionFilter{Page: page, Unauthorized: new(true)}, ever),
		"a patient's sessions":           sessions(SessionFilter{Page: page, Participants: ofPatient}, week),
		"a practitioner's sessions":      sessions(SessionFilter{Page: page, Participants: ofPractitioner}, week),
		"the session of an appointment":  sessions(SessionFilter{Page: page, AppointmentID: key.ID}, ever),
		"sessions with conflicts": func(ctx context.Context) error {
			rules := map[uuid.UUID][]scheduling.DatedNoteRule{idFrom("c1"): {{StartsOn: scheduling.Always, Rule: &scheduling.NoteRule{
				Sections: []scheduling.NoteSection{scheduling.Plan}, DueHours: new(24),
				Signers: []scheduling.Signer{scheduling.TechnicianSigns, scheduling.SupervisorSigns},
			}}}}
			n := narrowing{
				conflicts: ConflictKinds(), awaiting: new(true), arguments: conflictArguments{rules: rules, now: someday}, own: who, beyondOwn: true,
			}
			return readSessions(ctx, SessionFilter{Page: page}, week, n)
		},
		"the conflicts of a session": func(ctx context.Context) error {
			r, err := s.conflictsOf(organization, []uuid.UUID{idFrom("a5001")}, conflictArguments{now: someday})
			require.NoError(t, err)
			_, err = r.Read(ctx)
			return err
		},
		"the overlaps of a session": func(ctx context.Context) error {
			r, err := s.overlapping(&sessionReading{organization: organization, rows: []sessionRow{{Session: Session{
				ID: idFrom("a5001"), AppointmentID: idFrom("a5001"), Span: Span{someday, someday.Add(time.Hour)},
			}}}}, nil)
			require.NoError(t, err)
			_, err = r.Read(ctx)
			return err
		},
		"the exceeded caps of a session": func(ctx context.Context) error {
			exceeded := []authorization.ExceededCap{{AuthorizationID: idFrom("z7"), First: calendar.Date{}, Last: calendar.Last}}
			r, err := s.exceeding(organization, []uuid.UUID{idFrom("a5001")}, exceeded)
			require.NoError(t, err)
			_, err = r.Read(ctx)
			return err
		},
		"sessions for billing": func(ctx context.Context) error {
			r, err := deliveredStore{}.read(ctx, calendar.NewDate(2026, 5, 4), calendar.NewDate(2026, 5, 10), nil)
			require.NoError(t, err)
			return db.ReadAll(ctx, r.queries...)
		},
		"a session": func(ctx context.Context) error {
			_, err := s.session(ctx, idFrom("a5001"))
			return err
		},
		"appointments by their ids": func(ctx context.Context) error {
			_, err := s.several(ctx, []record.Key{key})
			return err
		},
		"a practitioner's feed": func(ctx context.Context) error {
			_, err := feedStore{}.calendar(ctx, Feed{OrganizationID: organization, PractitionerID: &who}, week)
			return err
		},
		"a patient's feed": func(ctx context.Context) error {
			_, err := feedStore{}.calendar(ctx, Feed{OrganizationID: organization, PatientID: &patient}, week)
			return err
		},
		"the feed of a token": func(ctx context.Context) error {
			token := sha256.Sum256([]byte("1"))
			_, err := feedStore{}.feedOf(ctx, token[:])
			return err
		},
		"a practitioner's hours": func(ctx context.Context) error {
			_, err := availabilityStore{}.availability(ctx, []record.Key{{OrganizationID: organization, ID: idFrom("a1")}})
			return err
		},
		"the series of an appointment": func(ctx context.Context) error {
			_, err := s.seriesOf(ctx, []record.Key{key})
			return err
		},
		"appointments of an authorization": func(ctx context.Context) error {
			_, err := s.holds(ctx, []record.Key{{OrganizationID: organization, ID: idFrom("z7")}})
			return err
		},
		"units of sessions on an authorization": func(ctx context.Context) error {
			_, err := deliveredStore{}.coveredUnits(ctx, []record.Key{{OrganizationID: organization, ID: idFrom("z7")}})
			return err
		},
		"appointments to move from an authorization": func(ctx context.Context) error {
			r := request{kind: transfer, caller: identity.System(organization), transfer: &Transfer{From: idFrom("z7")}}
			_, err := s.backed(ctx, []request{r})
			return err
		},
	} {
		t.Run(it, func(t *testing.T) {
			t.Parallel()
			_, err := db.Snapshot(ctx, opened, "plan", func(ctx context.Context) (struct{}, error) {
				require.Empty(t, wholly(t, ctx, read))
				return struct{}{}, nil
			})
			require.NoError(t, err)
		})
	}
	t.Run("reminders of all practices", func(t *testing.T) { // first, because the others' rows would count
		_, err := db.ReadCommitted(ctx, opened, "plan", func(ctx context.Context) (struct{}, error) {
			require.NotContains(t, wholly(t, ctx, func(ctx context.Context) error {
				_, err := s.takeReminders(ctx, reminderRun{now: someday, search: true}, 24*time.Hour, 100)
				return err
			}), "appointments")
			tx, err := db.Handle(ctx)
			if err != nil {
				return struct{}{}, err
			}
			var rows int
			err = tx.Raw(`SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'appointments'`).Scan(&rows).Error
			require.Less(t, rows, 1000, "only a day's appointments")
			return struct{}{}, err
		})
		require.NoError(t, err)
	})
	t.Run("reminders since the last run", func(t *testing.T) {
		_, err := db.ReadCommitted(ctx, opened, "plan", func(ctx context.Context) (struct{}, error) {
			const month = 30 * 24 * time.Hour // with 720 appointments
			run := reminderRun{now: someday, since: someday.Add(-2 * time.Hour), changed: []record.Key{key}}
			fetched := func() int {
				rows, err := db.SelectOne[int](ctx,
					"SELECT coalesce(max(idx_tup_fetch), 0)::int FROM pg_stat_xact_user_tables WHERE relname = 'appointments'")
				require.NoError(t, err)
				return rows
			}
			before := fetched() // the statistics belong to the connection
			due, err := s.takeReminders(ctx, run, month, 100)
			require.NoError(t, err)
			require.NotEmpty(t, due)
			rows := fetched() - before
			require.Less(t, rows, 10, "only new near ones, and the changed one")
			return struct{}{}, err
		}, db.AllOrganizations())
		require.NoError(t, err)
	})
	t.Run("overlaps of a session", func(t *testing.T) {
		_, err := db.Snapshot(ctx, opened, "plan", func(ctx context.Context) (struct{}, error) {
			last := idFrom("a19986") // of a patient and a practitioner with 33 and 66 sessions before
			r, err := s.conflictsOf(organization, []uuid.UUID{last}, conflictArguments{now: someday})
			require.NoError(t, err)
			_, err = r.Read(ctx)
			require.NoError(t, err)
			rows, err := db.SelectOne[int](ctx, `SELECT sum(idx_tup_fetch)::int FROM pg_stat_xact_user_tables
				WHERE relname IN ('appointment_patients', 'appointment_practitioners')`)
			require.Positive(t, rows)
			require.Less(t, rows, 12, "only a day's work")
			return struct{}{}, err
		})
		require.NoError(t, err)
	})
	t.Run("units of sessions on authorizations", func(t *testing.T) {
		keys := make([]record.Key, 20)
		for i := range keys { // each has sixteen or seventeen sessions
			keys[i] = record.Of(organization, idFrom("z"+strconv.Itoa(i*5+1)))
		}
		_, err := db.Snapshot(ctx, opened, "plan", func(ctx context.Context) (struct{}, error) {
			tx, err := db.Handle(ctx)
			require.NoError(t, err)
			_, err = deliveredStore{}.coveredUnits(ctx, keys)
			require.NoError(t, err)
			var rows int
			err = tx.Raw(`SELECT sum(idx_tup_fetch) FROM pg_stat_xact_user_tables`).Scan(&rows).Error
			require.Less(t, rows, 3000, "in proportion to the number of sessions")
			return struct{}{}, err
		})
		require.NoError(t, err)
	})
	t.Run("a sequential scan is detected", func(t *testing.T) {
		t.Parallel()
		_, err := db.Snapshot(ctx, opened, "plan", func(ctx context.Context) (struct{}, error) {
			require.Equal(t, []string{"appointments"}, wholly(t, ctx, func(ctx context.Context) error {
				tx, err := db.Handle(ctx)
				if err != nil {
					return err
				}
				var n int
				return tx.Raw(`SELECT count(*) FROM appointments WHERE status = 'NO_SHOW'`).Scan(&n).Error
			}))
			return struct{}{}, nil
		})
		require.NoError(t, err)
	})
}

// readSessions reads sessions with their parts, signatures and clocking.
func readSessions(ctx context.Context, f SessionFilter, within Span, n narrowing) error {
	r, err := store{}.readSessions(ctx, f, within, n)
	if err != nil {
		return err
	}
	if err := db.ReadAll(ctx, r.queries...); err != nil || len(r.rows) == 0 {
		return err
	}
	queries := append(r.parts(), r.signaturesOf(r.ids()), r.patientsOf(r.ids()), r.servicesOf())
	return db.ReadAll(ctx, append(queries, r.clockings().Queries...)...)
}

// wholly returns the tables that a query reads completely, in the transaction of the context. The
// statistics belong to the connection, so earlier reads are subtracted. The tables of
// addenda, signatures and versions are empty and always read completely.
func wholly(t *testing.T, ctx context.Context, read func(context.Context) error) []string {
	t.Helper()
	count := func() map[string]int64 {
		tx, err := db.Handle(ctx)
		require.NoError(t, err)
		var rows []struct {
			Relname string
			SeqScan int64
		}
		err = tx.Raw(`SELECT relname, seq_scan FROM pg_stat_xact_user_tables
			WHERE seq_scan > 0 AND relname NOT IN ('session_addenda', 'session_signatures', 'session_versions')`).Scan(&rows).Error
		require.NoError(t, err)
		counts := map[string]int64{}
		for _, r := range rows {
			counts[r.Relname] = r.SeqScan
		}
		return counts
	}
	before := count()
	require.NoError(t, read(ctx))
	var tables []string
	for name, scans := range count() {
		if scans > before[name] {
			tables = append(tables, name)
		}
	}
	return tables
}
