package audit_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// read returns the event of a read of records.
func read(organization uuid.UUID, at time.Time, records ...trail.Subject) trail.Event {
	return trail.Event{
		OrganizationID: organization, ActorID: uuid.New(), RequestID: "r-1", Action: "thing.read", SubjectType: "thing",
		After: map[string]string{"operation": "listThings"}, OccurredAt: at, Records: records,
	}
}

// things returns records of different patients.
func things(n int) []trail.Subject {
	records := make([]trail.Subject, n)
	for i := range records {
		records[i] = trail.Subject{Type: "thing", ID: uuid.New(), PatientID: uuid.New()}
	}
	return records
}

// find returns the sequence numbers of the found events.
func (o *office) find(t *testing.T, organization uuid.UUID, f audit.Filter) []int64 {
	t.Helper()
	ctx := identity.With(t.Context(), identity.Caller{OrganizationID: organization})
	found, err := o.Search(ctx, f, nil, 100)
	require.NoError(t, err)
	sequences := []int64{}
	for _, e := range found {
		sequences = append(sequences, e.Event.Sequence)
	}
	return sequences
}

func TestAReadOfSeveralRecordsIsOneEvent(t *testing.T) {
	t.Parallel()
	o, organization, records := open(t), uuid.New(), things(200)
	o.record(t, read(organization, moment, records...))
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_events`))
	require.Equal(t, 1, o.seal(t), "one seal")
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_events WHERE subject_id IS NOT NULL AND patient_id IS NULL
		AND after::json ->> 'operation' = 'listThings' AND after::json #>> '{list,records}' = '200'`))
	slices.Reverse(records)
	o.record(t, read(organization, moment.Add(time.Minute), append(records, records...)...))
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_lists`), "the same records on the same day")
	require.Equal(t, 400, o.count(t, `SELECT count(*) FROM audit_list_records`), "each record and each patient")
	o.record(t, read(organization, moment.AddDate(0, 0, 1), records...))
	require.Equal(t, 2, o.count(t, `SELECT count(*) FROM audit_lists`), "another day")
	r := o.verify(t, organization)
	require.True(t, r.OK, "%v", r.Problems)
	require.Equal(t, 3, r.Events)
	require.Equal(t, []bool{true, true, true}, o.recomputed(t, organization))
	require.Equal(t, []bool{true, true, true}, o.documented(t, organization, "SELECT e.sequence, "))
	o.tamperLists(t, `UPDATE audit_lists SET records = records || ' ' WHERE day = '2026-07-02'`)
	require.Equal(t, []bool{true, true, false}, o.documented(t, organization, "SELECT e.sequence, "))
}

func TestAReadOfOneRecordNamesIt(t *testing.T) {
	t.Parallel()
	o, organization, record := open(t), uuid.New(), things(1)[0]
	o.record(t, read(organization, moment, record, record), read(organization, moment))
	require.Zero(t, o.count(t, `SELECT count(*) FROM audit_lists`))
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_events WHERE subject_id = $1 AND patient_id = $2
		AND after::text = '{"operation":"listThings"}'`, record.ID, record.PatientID))
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_events WHERE num_nulls(subject_id, patient_id) = 2`))
}

// TestTheSearchFindsReadsByTheirLists checks the filters of patient, subject and action, with old events of one record
// each, new ones with lists, and changes.
func TestTheSearchFindsReadsByTheirLists(t *testing.T) {
	t.Parallel()
	o, organization := open(t), uuid.New()
	a, b, c := things(1)[0], things(1)[0], things(1)[0]
	c.PatientID = a.PatientID
	patient := trail.Subject{Type: "patient", ID: b.PatientID, PatientID: b.PatientID}
	single := event(organization)
	single.Action, single.SubjectID, single.PatientID = "thing.read", a.ID, &a.PatientID
	change := event(organization)
	change.SubjectID, change.PatientID = b.ID, &b.PatientID
	o.record(t, single,
		read(organization, moment, a, b),
		read(organization, moment.AddDate(0, 0, 2), a, c),
		change,
		read(organization, moment.AddDate(0, 0, 1), b, patient))
	o.record(t, read(uuid.New(), moment, a, b))

	require.Equal(t, []int64{3, 5, 4, 2, 1}, o.find(t, organization, audit.Filter{}), "the newest first")
	require.Equal(t, []int64{3, 2, 1}, o.find(t, organization, audit.Filter{PatientID: a.PatientID}))
	require.Equal(t, []int64{5, 4, 2}, o.find(t, organization, audit.Filter{PatientID: b.PatientID}))
	require.Equal(t, []int64{3, 2, 1}, o.find(t, organization, audit.Filter{SubjectID: a.ID}))
	require.Equal(t, []int64{3}, o.find(t, organization, audit.Filter{SubjectID: c.ID}))
	require.Equal(t, []int64{5}, o.find(t, organization, audit.Filter{SubjectID: b.PatientID}), "the patient as a record")
	require.Equal(t, []int64{3, 2, 1}, o.find(t, organization, audit.Filter{SubjectID: a.ID, PatientID: a.PatientID}))
	require.Empty(t, o.find(t, organization, audit.Filter{SubjectID: a.ID, PatientID: b.PatientID}))
	require.Equal(t, []int64{5}, o.find(t, organization, audit.Filter{Action: "patient.read"}))
	require.Equal(t, []int64{5}, o.find(t, organization, audit.Filter{Action: "patient."}))
	require.Equal(t, []int64{5, 2}, o.find(t, organization, audit.Filter{Action: "thing.read", PatientID: b.PatientID}))
	require.Equal(t, []int64{2}, o.find(t, organization,
		audit.Filter{PatientID: b.PatientID, Action: "thing.read", To: moment.AddDate(0, 0, 1)}))
	require.Empty(t, o.find(t, organization, audit.Filter{PatientID: uuid.New()}))
}

// TestPagesOfTheSearchMergeEventsAndLists walks a patient's events in pages, in both directions.
func TestPagesOfTheSearchMergeEventsAndLists(t *testing.T) {
	t.Parallel()
	o, organization, records := open(t), uuid.New(), things(3)
	var events []trail.Event
	for i := range 40 {
		at := moment.Add(time.Duration(i) * 5 * time.Hour)
		if i%3 == 0 {
			events = append(events, read(organization, at, records[0]))
		} else {
			events = append(events, read(organization, at, records[:2+i%2]...))
		}
	}
	o.record(t, events...)
	ctx := identity.With(t.Context(), identity.Caller{OrganizationID: organization})
	f := audit.Filter{PatientID: records[0].PatientID}
	for _, size := range []int{1, 7, 40} {
		walked := audit.Walk(ctx, t, o.Service, f, size)
		require.Len(t, walked, 40)
		for i, sequence := range walked {
			require.EqualValues(t, 40-i, sequence)
		}
	}
	var exported []int64
	require.NoError(t, o.Export(ctx, audit.Filter{PatientID: records[0].PatientID, To: moment.AddDate(1, 0, 0)}, "csv",
		func(part []audit.Entry) error {
			for _, e := range part {
				exported = append(exported, e.Event.Sequence)
			}
			return nil
		}))
	require.Subset(t, exported, []int64{1, 41}, "the export itself is recorded")
}

// fillLists adds 20,000 reads with lists. A fifth of the lists name the patient.
func (o *office) fillLists(t *testing.T, organization, patient uuid.UUID) {
	t.Helper()
	for _, statement := range []string{
		`INSERT INTO audit_events (organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type,
			subject_id, patient_id, address)
		 SELECT '` + organization.String() + `', timestamptz '2026-07-01Z' - n * interval '1 minute', gen_random_uuid(), '',
			'thing.read', 'done', 'thing', md5(n::text)::uuid, gen_random_uuid(), '' FROM generate_series(1, 20000) n`,
		`INSERT INTO audit_lists (organization_id, id, day, size, records)
		 SELECT '` + organization.String() + `', md5(n::text)::uuid, '2026-07-01', 1, '{}' FROM generate_series(1, 20000, 2) n`,
		`INSERT INTO audit_list_records (organization_id, record_id, as_patient, day, list_id)
		 SELECT '` + organization.String() + `', CASE WHEN n % 5 = 0 THEN '` + patient.String() + `'::uuid
			ELSE gen_random_uuid() END, true, date '2026-06-30' - n / 1440, md5(n::text)::uuid
		 FROM generate_series(1, 20000) n`,
		`ANALYZE audit_events, audit_lists, audit_list_records, audit_seals`,
	} {
		_, err := o.owner.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
}

// TestTheSearchByListsUsesItsIndexes reads the plans under the program's role: row-level security keeps other operators
// than leakproof ones out of index scans.
func TestTheSearchByListsUsesItsIndexes(t *testing.T) {
	t.Parallel()
	o, organization, records := open(t), uuid.New(), things(3)
	o.fillLists(t, organization, records[0].PatientID)
	ctx := identity.With(t.Context(), identity.Caller{OrganizationID: organization})
	for name, test := range map[string]struct {
		filter  audit.Filter
		indexes []string
	}{
		"patient": {
			audit.Filter{PatientID: records[0].PatientID},
			[]string{"audit_events_by_patient", "audit_list_records_pkey", "audit_events_by_subject"},
		},
		"days of a patient": {
			audit.Filter{PatientID: records[0].PatientID, From: moment.AddDate(0, 0, -9), To: moment.AddDate(0, 0, -1)},
			[]string{"AND (day >= '2026-06-22'::date) AND (day <= '2026-06-30'::date)"},
		},
		"subject": {
			audit.Filter{SubjectID: records[0].ID},
			[]string{"audit_events_by_subject", "audit_list_records_pkey"},
		},
	} {
		plan, err := db.Snapshot(ctx, o.database, "test", func(ctx context.Context) (string, error) {
			return audit.PlanOfSearch(ctx, test.filter, 21)
		})
		require.NoError(t, err)
		for _, index := range test.indexes {
			require.Contains(t, plan, index, "%s\n%s", name, plan)
		}
		require.NotContains(t, plan, "Seq Scan", "%s\n%s", name, plan)
		if name == "patient" { // who is in many lists
			require.Contains(t, plan, "Incremental Sort", "one day at a time: %s", plan)
		}
	}
}

// TestVerifyProbesTheRowsOfEachList: reading all rows for each list would take quadratic time.
func TestVerifyProbesTheRowsOfEachList(t *testing.T) {
	t.Parallel()
	o, organization := open(t), uuid.New()
	o.fillLists(t, organization, uuid.New())
	ctx := identity.With(t.Context(), identity.Caller{OrganizationID: organization})
	plan, err := db.Snapshot(ctx, o.database, "test", func(ctx context.Context) (string, error) {
		return audit.PlanOfLists(ctx, organization)
	})
	require.NoError(t, err)
	require.Regexp(t, `audit_list_records_pkey.*\n.*Index Cond: .*record_id = .*as_patient = .*day = .*list_id = `, plan)
	require.NotContains(t, plan, "Seq Scan", plan)
	require.Contains(t, plan, "audit_lists_pkey", plan)
}

// TestVerifyFindsChangedLists changes lists and their rows as the tables' owner, with triggers disabled.
func TestVerifyFindsChangedLists(t *testing.T) {
	t.Parallel()
	for it, tamper := range map[string]string{
		"a changed record": `UPDATE audit_lists SET records = overlay(records PLACING
				translate(substr(records, position('":["' IN records) + 4, 1), 'f0123456789abcde', '0fffffffffffffff')
				FROM position('":["' IN records) + 4)
			WHERE id = (SELECT subject_id FROM audit_events WHERE sequence = 1)`,
		"a list with another day": `UPDATE audit_lists SET day = day + 1
			WHERE id = (SELECT subject_id FROM audit_events WHERE sequence = 1)`,
		"a list that is no JSON": `UPDATE audit_lists SET records = 'x'
			WHERE id = (SELECT subject_id FROM audit_events WHERE sequence = 1)`,
		"a removed list": `DELETE FROM audit_lists WHERE id = (SELECT subject_id FROM audit_events WHERE sequence = 1)`,
		"a removed row":  `DELETE FROM audit_list_records WHERE ctid = (SELECT min(ctid) FROM audit_list_records)`,
		"an added row":   `INSERT INTO audit_list_records SELECT organization_id, gen_random_uuid(), true, day, id FROM audit_lists LIMIT 1`,
		"a changed row":  `UPDATE audit_list_records SET record_id = gen_random_uuid() WHERE ctid = (SELECT max(ctid) FROM audit_list_records)`,
		"a row of no list": `INSERT INTO audit_list_records SELECT organization_id, record_id, true, day, gen_random_uuid()
			FROM audit_list_records LIMIT 1`,
		"a row of another day": `UPDATE audit_list_records SET day = day + 1 WHERE ctid = (SELECT max(ctid) FROM audit_list_records)`,
		"a row of the other sort": `UPDATE audit_list_records SET as_patient = NOT as_patient
			WHERE ctid = (SELECT max(ctid) FROM audit_list_records)`,
	} {
		t.Run("it finds "+it, func(t *testing.T) {
			t.Parallel()
			o, organization := open(t), uuid.New()
			o.record(t, read(organization, moment, things(3)...), read(organization, moment, things(2)...), event(organization))
			require.True(t, o.verify(t, organization).OK)
			o.tamperLists(t, tamper)
			r := o.verify(t, organization)
			require.False(t, r.OK)
			require.Equal(t, "list", r.Problems[0].Check, "%v", r.Problems)
			require.Equal(t, organization, r.Problems[0].OrganizationID)
		})
	}
}

// TestVerifyFindsALinkToAnotherList: a list with a hash of its own does not replace the list that the event names.
func TestVerifyFindsALinkToAnotherList(t *testing.T) {
	t.Parallel()
	o, organization := open(t), uuid.New()
	o.record(t, read(organization, moment, things(3)...), read(organization, moment, things(2)...))
	require.True(t, o.verify(t, organization).OK)
	o.tamper(t, `UPDATE audit_events SET subject_id = (SELECT subject_id FROM audit_events WHERE sequence = 2) WHERE sequence = 1`)
	checks := map[string]bool{}
	for _, p := range o.verify(t, organization).Problems {
		checks[p.Check] = true
	}
	require.Equal(t, map[string]bool{"hash": true, "list": true}, checks)
}

// tamperLists changes one row as the tables' owner, with triggers disabled.
func (o *office) tamperLists(t *testing.T, statement string) {
	t.Helper()
	o.tamper(t, `ALTER TABLE audit_lists DISABLE TRIGGER USER`, `ALTER TABLE audit_list_records DISABLE TRIGGER USER`)
	result, err := o.owner.ExecContext(t.Context(), statement)
	require.NoError(t, err)
	changed, err := result.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, changed)
}

func TestListsAreAppendOnly(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.record(t, read(uuid.New(), moment, things(2)...))
	for _, table := range []string{"audit_lists", "audit_list_records"} {
		for _, statement := range []string{
			"UPDATE " + table + " SET organization_id = organization_id", "DELETE FROM " + table, "TRUNCATE " + table,
		} {
			require.Equal(t, "42501", stateOf(t, o.program, statement), "the program's role lacks the privilege: %s", statement)
			require.Equal(t, "23001", stateOf(t, o.owner, statement), "the trigger binds the owner: %s", statement)
		}
		require.Equal(t, "23001", stateOf(t, o.owner, `SET omnirapeutic.audit_removal = 'on'; DELETE FROM `+table),
			"an event names the list")
	}
}

func TestListsAreRemovedAfterTheirEvents(t *testing.T) {
	t.Parallel()
	o, organization, records := open(t), uuid.New(), things(3)
	o.splitFirst(t, moment.AddDate(0, 0, 1).Add(time.Hour))
	for day := range 4 {
		o.record(t, read(organization, moment.AddDate(0, 0, day), records...))
	}
	o.seal(t)
	o.now = moment.AddDate(0, 0, 5)
	owner := o.asOwner(t)
	removed, err := owner.Remove(t.Context(), audit.Removal{Before: moment.AddDate(0, 0, 2), By: "operator"})
	require.NoError(t, err)
	require.EqualValues(t, 2, removed[0].Removed)
	require.Equal(t, 2, o.count(t, `SELECT count(*) FROM audit_lists`))
	require.Equal(t, 12, o.count(t, `SELECT count(*) FROM audit_list_records`))
	r := o.verify(t, organization)
	require.True(t, r.OK, "%v", r.Problems)
	require.Len(t, o.find(t, organization, audit.Filter{PatientID: records[0].PatientID}), 2)
	for _, right := range o.recomputed(t, organization) {
		require.True(t, right)
	}
}

// TestConcurrentReadsStoreAListOnce: instances that record the same new lists at once neither fail nor repeat them.
func TestConcurrentReadsStoreAListOnce(t *testing.T) {
	t.Parallel()
	o, organization := open(t), uuid.New()
	lists := [][]trail.Subject{things(5), things(5), things(5), things(5)}
	done := make(chan error)
	const readers = 8
	for i := range readers {
		go func() {
			var events []trail.Event
			for n := range lists {
				events = append(events, read(organization, moment, lists[(n+i)%len(lists)]...))
			}
			done <- o.Note(t.Context(), events)
		}()
	}
	for range readers {
		require.NoError(t, <-done)
	}
	require.Equal(t, len(lists), o.count(t, `SELECT count(*) FROM audit_lists`))
	require.Equal(t, readers*len(lists), o.verify(t, organization).Events)
}

// TestQueuedListsAreEntered: an event that waited on disk has its list, in a file that earlier programs do not take.
func TestQueuedListsAreEntered(t *testing.T) {
	t.Parallel()
	o, dir, organization, records := open(t), t.TempDir(), uuid.New(), things(200)
	o.queue(t, dir, read(organization, moment, records...))
	require.True(t, strings.HasPrefix(filepath.Base(filesIn(t, dir)[0]), "audit-lists-"))
	later := o.spooling(o.database, dir)
	entered, err := later.Replay(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, entered)
	require.Len(t, o.find(t, organization, audit.Filter{SubjectID: records[7].ID}), 1)
	require.True(t, o.verify(t, organization).OK)
}

// TestFilesOfEarlierProgramsAreEntered takes a file as an earlier program has written it.
func TestFilesOfEarlierProgramsAreEntered(t *testing.T) {
	t.Parallel()
	o, dir, organization := open(t), t.TempDir(), uuid.New()
	line, err := json.Marshal(map[string]any{
		"OrganizationID": organization, "OccurredAt": moment, "RequestID": "r-1", "Action": "thing.read", "Outcome": "done",
		"SubjectType": "thing", "SubjectID": uuid.New(), "PatientID": uuid.New(), "Address": "", "After": `{"operation":"x"}`,
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "audit-"+uuid.NewString()+".jsonl"), append(line, '\n'), 0o600))
	entered, err := o.spooling(o.database, dir).Replay(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, entered)
	require.True(t, o.verify(t, organization).OK)
	require.Empty(t, filesIn(t, dir))
}

// TestAListHasTheDocumentedForm fixes the form over which the hash is computed.
func TestAListHasTheDocumentedForm(t *testing.T) {
	t.Parallel()
	o, organization := open(t), uuid.MustParse("00000000-0000-4000-8000-000000000001")
	id := func(n byte) uuid.UUID { return uuid.UUID{15: n} }
	o.record(t, read(organization, moment,
		trail.Subject{Type: "thing", ID: id(5), PatientID: id(2)}, trail.Subject{Type: "thing", ID: id(4), PatientID: id(2)},
		trail.Subject{Type: "patient", ID: id(1), PatientID: id(1)}, trail.Subject{Type: "thing", ID: id(4), PatientID: id(1)}))
	const zeros = "00000000-0000-0000-0000-00000000000"
	want := `{"patient":{"` + zeros + `1":["` + zeros + `1"]},"thing":{"` + zeros + `1":["` + zeros + `4"],"` + zeros +
		`2":["` + zeros + `4","` + zeros + `5"]}}`
	sum := sha256.Sum256([]byte(organization.String() + "\n2026-07-01\n" + want))
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_lists WHERE records = $1 AND size = 5`, want))
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_events WHERE after::text = $1`,
		`{"operation":"listThings","list":{"sha256":"`+hex.EncodeToString(sum[:])+`","records":4,"types":["patient","thing"]}}`))
}
