package e2e

import (
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the owner's connection
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/httpx"
)

// TestEveryOperationIsOnRecord runs all operations of the API with the contract's
// examples. It fails if an operation changes something without an event, or shows
// patient data without a read event.
func TestEveryOperationIsOnRecord(t *testing.T) {
	t.Parallel()
	s := newRecording(t)
	owner := s.c.Owner(t)
	people := harness.QueryTexts(t, owner,
		`SELECT id::text FROM patients UNION SELECT last_name FROM patients UNION SELECT member_number FROM insurances`)
	require.NotEmpty(t, people)
	met := map[string]bool{}
	for _, item := range s.recorded {
		if item.status >= http.StatusBadRequest {
			continue
		}
		r := item.route
		met[r.Name] = true
		recorded := func(condition string) bool {
			return len(harness.QueryTexts(t, owner,
				`SELECT action FROM audit_events WHERE request_id = $1 AND outcome = 'done' AND `+condition,
				item.request)) > 0
		}
		if r.Name == "requestPasswordReset" {
			continue // it does not look up the account; the answer by mail is recorded
		}
		if r.Method != http.MethodGet && !r.ReadOnly {
			require.True(t, recorded(`action NOT LIKE '%.read'`), "%s changes something and records nothing", r.Name)
			continue
		}
		if r.Reads != "" {
			require.Len(t, harness.QueryTexts(t, owner, `SELECT action FROM audit_events WHERE request_id = $1
				AND action LIKE '%.read'`, item.request), 1, "%s reads patient data, so it records one event", r.Name)
		}
		if r.Name == "readCalendar" {
			require.True(t, recorded(`action = 'calendar.read'`), "a calendar link was read without an event")
		}
		shows := strings.HasPrefix(r.Path, "/authorizations/:id")
		for _, person := range people {
			shows = shows || strings.Contains(string(item.raw), person+`"`) // the end of a text: a payer has the same word
		}
		if shows && !strings.HasPrefix(r.Path, "/admin/audit-events") {
			require.True(t, recorded(`action LIKE '%.read' AND (patient_id IS NOT NULL OR EXISTS (
				SELECT FROM audit_lists l WHERE l.organization_id = audit_events.organization_id AND l.id = subject_id))`),
				"%s shows patient data, and the trail does not name the patient", r.Name)
		}
	}
	for name := range s.routes {
		require.True(t, met[name], "%s was never called", name)
	}
	requireCompleteTrail(t, s, owner)
	require.NotEmpty(t,
		harness.QueryTexts(t, owner, `SELECT action FROM audit_events WHERE action = 'user.sign-in' AND outcome = 'done'`))
	require.NotEmpty(t, harness.QueryTexts(t, owner, `SELECT action FROM audit_events WHERE action = 'audit.export'`))
	s.c.RequireClean(t)
}

// requireCompleteTrail checks that events have the actor, address and request. Changes must have
// the values before and after or, for personal data, the names of the changed fields.
func requireCompleteTrail(t *testing.T, s *recording, owner *sql.DB) {
	t.Helper()
	for _, item := range s.recorded {
		lacking := func(condition string) []string {
			return harness.QueryTexts(t, owner,
				`SELECT concat_ws(' ', action, outcome, subject_type) FROM audit_events WHERE request_id = $1
					AND (`+condition+`)`, item.request)
		}
		require.Empty(t,
			lacking(`address = '' OR outcome = 'done'
				AND organization_id = '00000000-0000-0000-0000-000000000000'`), item.route.Name)
		if item.route.Permission != httpx.Public {
			require.Empty(t, lacking(`actor_id IS NULL OR actor_id = '00000000-0000-0000-0000-000000000000'`), item.route.Name)
		}
		if item.route.Method == http.MethodPatch && item.status < http.StatusBadRequest {
			require.Empty(t,
				lacking(`action NOT LIKE '%.read' AND subject_type = split_part(action, '.', 1) AND (after IS NULL
					OR before IS NULL AND after::json -> 'changed' IS NULL)`), item.route.Name)
		}
	}
}

// TestTrailHasNoPersonalData searches the trail for names, numbers and texts of
// people after every operation has run.
func TestTrailHasNoPersonalData(t *testing.T) {
	t.Parallel()
	s := newRecording(t)
	admin := s.c.Admin()
	patient := admin.Post(t, "/patients", harness.Body{
		"firstName": "Zebulon", "lastName": "Quackenbush", "dateOfBirth": "2017-11-13", "medicalRecordNumber": "MRN-88421",
	}).Created(t).String()
	admin.Patch(t, "/patients/"+patient, harness.Body{
		"lastName": "Quackenbush-Ombler", "medicalRecordNumber": "MRN-88422",
	})
	admin.Post(t, "/patients/search", harness.Body{"lastName": "Quackenbush"})
	path := s.c.Authorize(t, 10,
		harness.Body{"patientId": patient, "authNumber": "AUTHNO-5521", "notes": "narrative about Zebulon"})
	admin.Patch(t, path,
		harness.Body{"notes": "another narrative", "authNumber": "AUTHNO-5522", "totalUnits": 12, "reason": "spoken reason"})
	id := admin.Post(t, path+"/reserve", harness.Body{"units": 3, "reference": "reference-of-ours"}).ReservationID(t)
	admin.Post(t, path+"/release", harness.Body{"reservationId": id, "units": 1, "reason": "spoken reason too"})
	s.c.As("").Post(t, "/auth/login", harness.Body{"email": "typed-a-password-here", "password": "secret-typed-wrong"})

	owner := s.c.Owner(t)
	secrets := harness.QueryTexts(t, owner, `
		SELECT first_name FROM patients UNION SELECT last_name FROM patients
		WHERE last_name <> 'Example' -- as the practice is called
		UNION SELECT medical_record_number FROM patients WHERE medical_record_number IS NOT NULL
		UNION SELECT date_of_birth::text FROM patients UNION SELECT member_number FROM insurances
		UNION SELECT auth_number FROM authorizations WHERE auth_number IS NOT NULL UNION SELECT notes FROM authorizations
		WHERE notes IS NOT NULL
		UNION SELECT reference FROM unit_reservations WHERE reference IS NOT NULL
		UNION SELECT first_name FROM practitioners UNION SELECT last_name FROM practitioners UNION SELECT email FROM users
		UNION SELECT url FROM webhooks`)
	secrets = append(secrets, "Quackenbush", "MRN-88421", "AUTHNO-5521", "about Zebulon", "another narrative",
		"typed-a-password", "secret-typed")
	require.Greater(t, len(secrets), 15)
	kept := strings.Join(harness.QueryTexts(t, owner, `SELECT e::text FROM audit_events e`), "\n")
	require.Contains(t, kept, `medicalRecordNumber`, "the change is recorded")
	for _, secret := range secrets {
		// As separate words, because a short name is part of many others.
		require.NotRegexp(t, `(^|\W)`+regexp.QuoteMeta(secret)+`($|\W)`, kept)
	}
}

func TestDenialsAreOnRecord(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	first := c.As(c.Own.Tokens[rbac.Technician]).WithHeader("X-Request-Id", "Ada-Example").Post(t, path+"/reserve",
		harness.Body{"units": 1}).Refused(t, http.StatusForbidden, "forbidden").RequestID()
	second := c.As(c.Own.Tokens[rbac.Scheduler]).Get(t, "/admin/audit-events").
		Refused(t, http.StatusForbidden, "forbidden").RequestID()
	c.As("").Post(t, "/auth/login", harness.Body{"email": "ADMIN@own.test", "password": "wrong"})
	c.As("").Post(t, "/auth/login", harness.Body{"email": "unknown@own.test", "password": "wrong"})

	found := c.Admin().Get(t, "/admin/audit-events?outcome=denied")
	require.Equal(t, http.StatusOK, found.Status, "%s", found.Raw)
	data := found.Body["data"].([]any)
	require.Len(t, data, 3, "users of no organization are not in this one's trail")
	signIn, audit, reserve := data[0].(map[string]any), data[1].(map[string]any), data[2].(map[string]any)
	require.Equal(t, []any{"user.sign-in", nil, "127.0.0.1", map[string]any{"reason": "password"}},
		[]any{signIn["action"], signIn["actorId"], signIn["address"], signIn["after"]})
	require.Equal(t, []any{"audit.read", second}, []any{audit["action"], audit["requestId"]})
	require.Equal(t, []any{"authorization.reserve", first, path[len("/authorizations/"):]},
		[]any{reserve["action"], reserve["requestId"], reserve["subjectId"]})
	require.Equal(t,
		map[string]any{
			"code": "forbidden", "operation": "reserveUnits", "permission": "authorization:reserve",
		}, reserve["after"])
	require.Empty(t, harness.QueryTexts(t, c.Owner(t),
		`SELECT after::text FROM audit_events WHERE organization_id = '00000000-0000-0000-0000-000000000000'`),
		"attempts of no organization are counted separately")
}

// TestRefreshesAreOnRecord checks that every answer with an access token is recorded,
// including repeated ones, and every refusal with its reason.
func TestRefreshesAreOnRecord(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	var requested []string
	refresh := func(token string) harness.Answer {
		a := c.As("").Post(t, "/auth/refresh", harness.Body{"refreshToken": token})
		requested = append(requested, a.RequestID())
		return a
	}
	first := c.As("").Post(t, "/auth/login", harness.Body{"email": "ADMIN@own.test", "password": harness.Password}).OK(t).
		Text("refreshToken")
	second := refresh(first).OK(t).Text("refreshToken")
	require.Equal(t, second, refresh(first).OK(t).Text("refreshToken"), "its reply may have been lost")
	refresh(second).OK(t)
	refresh(first).Refused(t, http.StatusUnauthorized, "refresh-refused")
	refresh(second).Refused(t, http.StatusUnauthorized, "refresh-refused")
	require.Equal(t, []string{
		requested[0] + " done ", requested[1] + ` done {"repeated":true}`, requested[2] + " done ",
		requested[3] + ` denied {"reason":"reused"}`,
		requested[4] + ` denied {"reason":"revoked"}`,
	}, harness.QueryTexts(t, c.Owner(t),
		`SELECT concat(request_id, ' ', outcome, ' ', after) FROM audit_events WHERE organization_id = $1
			AND action = 'sign-in.refresh' ORDER BY sequence`, c.Own.ID))
}

// TestUnrecordedActionsAreRefused makes the database refuse events.
func TestUnrecordedActionsAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	patient := "/patients/" + c.Own.Patient.String()
	owner := c.Owner(t)
	_, err := owner.ExecContext(t.Context(), `ALTER TABLE audit_events ADD CONSTRAINT full_up CHECK (false) NOT VALID`)
	require.NoError(t, err)
	for _, read := range []string{
		patient, "/patients", path, path + "/entries", path + "/available-units", "/insurances",
		"/events",
	} {
		a := c.Admin().Get(t, read).Refused(t, http.StatusServiceUnavailable, "not-recorded")
		require.NotContains(t, string(a.Raw), "Ada")
		require.NotEmpty(t, a.Header.Get("Retry-After"))
	}
	c.As(c.Own.Tokens[rbac.Technician]).Post(t, path+"/reserve", harness.Body{"units": 1}).
		Refused(t, http.StatusForbidden, "forbidden")
	require.Equal(t, http.StatusInternalServerError,
		c.As("").Post(t, "/auth/login", harness.Body{"email": "ADMIN@own.test", "password": harness.Password}).Status)
	c.As("").Post(t, "/auth/login", harness.Body{"email": "ADMIN@own.test", "password": "wrong"}).
		Refused(t, http.StatusServiceUnavailable, "not-recorded")
	require.Equal(t, http.StatusInternalServerError, c.Admin().Patch(t, patient, harness.Body{"lastName": "Other"}).Status)
	require.Equal(t, http.StatusInternalServerError, c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).Status)
	require.Equal(t, http.StatusOK, c.Admin().Get(t, "/payers").Status, "data of no patient can still be read")

	_, err = owner.ExecContext(t.Context(), `ALTER TABLE audit_events DROP CONSTRAINT full_up`)
	require.NoError(t, err)
	require.Equal(t, "Example", c.Admin().Get(t, patient).Text("lastName"), "nothing was changed")
	c.RequireBalance(t, path, 10, 0, 0)
}

// ids returns the sequence numbers of a page.
func ids(a harness.Answer) (found []float64) {
	for _, item := range a.Body["data"].([]any) {
		found = append(found, item.(map[string]any)["sequence"].(float64))
	}
	return found
}

func TestAuditSearch(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	id := path[len("/authorizations/"):]
	for range 5 {
		c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1})
	}
	count := func(query string) int {
		t.Helper()
		a := c.Admin().Get(t, "/admin/audit-events?limit=200&"+query)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
		return len(ids(a))
	}
	require.Equal(t, 5, count("action=authorization.reserve"))
	require.Equal(t, 6, count("subjectId="+id))
	require.Equal(t, 6, count("action=authorization.&patientId="+c.Own.Patient.String()))
	require.Equal(t, 5,
		count("action=authorization.reserve&outcome=done&from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"))
	require.Zero(t, count("action=authorization.reserve&to=2020-01-01T00:00:00Z"))
	require.Zero(t, count("action=authorization.reserve&outcome=denied"))
	require.Zero(t, count("actorId="+id))
	require.Zero(t, count("patientId="+c.Other.Patient.String()), "another organization's")
	require.Equal(t, 8, count("action=audit.read"), "searches are recorded: the earlier ones")

	var walked []float64
	for next := ""; ; {
		a := c.Admin().Get(t, "/admin/audit-events?limit=2&subjectId="+id+"&cursor="+next)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
		walked = append(walked, ids(a)...)
		if a.Body["nextCursor"] == nil {
			break
		}
		next = a.Text("nextCursor")
	}
	require.Len(t, walked, 6)
	for i := range walked[1:] {
		require.Greater(t, walked[i], walked[i+1], "the newest first")
	}
	c.RequireClean(t)
	a := c.Admin().Get(t, "/admin/audit-events?action=authorization.create")
	require.NotNil(t, a.Body["data"].([]any)[0].(map[string]any)["position"], "once sealed")
}

// TestAPageIsOneEventWithAllItsRecords reads pages of records of two patients. The trail's search and export show every
// record of a page, and find the page by each of them.
func TestAPageIsOneEventWithAllItsRecords(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	paths := []string{
		c.Authorize(t, 10), c.Authorize(t, 10), c.Authorize(t, 10, harness.Body{"patientId": c.AddPatient(t)}),
	}
	first := c.Admin().Get(t, "/authorizations?limit=200").OK(t).RequestID()
	c.Admin().Get(t, "/authorizations?limit=200").OK(t)
	of := func(request string) []string {
		return harness.QueryTexts(t, c.Owner(t), `SELECT action FROM audit_events WHERE request_id = $1`, request)
	}
	require.Equal(t, []string{"authorization.read"}, of(first), "one event")
	require.Equal(t, 1, c.Count(t, `SELECT count(*) FROM audit_lists WHERE organization_id = $1`, c.Own.ID),
		"the same records again: one list")
	c.Admin().Get(t, "/authorizations?limit=200&patientId="+c.Own.Patient.String()).OK(t)
	c.Admin().Get(t, paths[2]).OK(t)

	find := func(query string) []any {
		return c.Admin().Get(t, "/admin/audit-events?action=authorization.read&"+query).OK(t).Body["data"].([]any)
	}
	id := func(path string) string { return path[len("/authorizations/"):] }
	other := c.Admin().Get(t, paths[2]).Text("patientId")
	require.Len(t, find("patientId="+c.Own.Patient.String()), 3, "two pages of all, and one of the patient")
	require.Len(t, find("patientId="+other), 4, "two pages of all, and the authorization itself twice")
	require.Len(t, find("subjectId="+id(paths[0])), 3)
	require.Len(t, find("subjectId="+id(paths[2])), 4)
	require.Empty(t, find("subjectId="+id(paths[2])+"&patientId="+c.Own.Patient.String()))
	page := find("subjectId=" + id(paths[0]))[2].(map[string]any)
	shown := page["records"].(map[string]any)["authorization"].(map[string]any)
	require.ElementsMatch(t, []any{id(paths[0]), id(paths[1])}, shown[c.Own.Patient.String()])
	require.Equal(t, []any{id(paths[2])}, shown[other])
	require.Nil(t, page["patientId"], "there are two")
	require.EqualValues(t, 3, page["after"].(map[string]any)["list"].(map[string]any)["records"])
	require.Equal(t, c.Own.Patient.String(), find("subjectId=" + id(paths[1]))[0].(map[string]any)["patientId"])

	export := string(c.Admin().GetRaw(t, "/admin/audit-events/export?subjectId="+id(paths[0])).Raw)
	require.Equal(t, 2, strings.Count(export, `"`+other+`":["`+id(paths[2])+`"]`), "the export has the records")
	c.RequireClean(t)
}

func TestAuditExport(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 2000)
	operations := make([]harness.Body, 0, 200)
	for range 200 {
		operations = append(operations, harness.BulkItem(path, "reserve", harness.Body{"units": 1}))
	}
	for range 4 { // more than one part
		require.Equal(t, http.StatusOK, c.Admin().Post(t, "/units/bulk", harness.BulkBody(operations...)).Status)
	}
	read := c.Admin().Get(t, path).RequestID()
	c.RequireClean(t)

	lines := strings.Split(strings.TrimSpace(string(c.Admin().GetRaw(t, "/admin/audit-events/export").Raw)), "\n")
	var first, last harness.Body
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	require.EqualValues(t, 1, first["position"], "the oldest first")
	require.Equal(t, "audit.export", last["action"], "the export records itself")
	require.Greater(t, len(lines), 800)

	export := c.Admin().GetRaw(t, "/admin/audit-events/export?format=csv&action=authorization.").Raw
	rows, err := csv.NewReader(strings.NewReader(string(export))).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"position", "sequence", "occurredAt", "actorId", "requestId", "action"}, rows[0][:6])
	require.Len(t, rows, 1+1+800+1, "names, created, reserved, read")
	require.Equal(t, read, rows[len(rows)-1][4])
	require.JSONEq(t, `{"operation":"getAuthorization"}`, rows[len(rows)-1][13])

	empty := c.Admin().GetRaw(t, "/admin/audit-events/export?to=2020-01-01T00:00:00Z").Raw
	require.Empty(t, empty)
	c.As(c.Own.Tokens[rbac.Scheduler]).Get(t, "/admin/audit-events/export").Refused(t, http.StatusForbidden, "forbidden")
}

// TestTheSearchUsesItsIndexes checks the query plans for a large trail.
func TestTheSearchUsesItsIndexes(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	owner := c.Owner(t)
	owner.SetMaxOpenConns(1) // with the setting
	for _, statement := range []string{
		`SET enable_seqscan = off`, // as the program; the partitions of other months are empty
		`INSERT INTO audit_events (organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type,
			subject_id, patient_id, address)
		 SELECT '` + c.Own.ID.String() +
			`', now() - n * interval '1 second', gen_random_uuid(), '', 'thing.read', 'done', 'thing', gen_random_uuid(), gen_random_uuid(), ''
		 FROM generate_series(1, 20000) n`,
		`ANALYZE audit_events`,
	} {
		_, err := owner.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	someone := " = '" + c.Own.Patient.String() + "'"
	for condition, index := range map[string]string{
		"true": "audit_events_pkey", "occurred_at < now() - interval '1 hour'": "audit_events_pkey",
		"actor_id" + someone: "audit_events_by_actor", "patient_id" + someone: "audit_events_by_patient",
		"subject_id" + someone: "audit_events_by_subject",
	} {
		plan := strings.Join(harness.QueryTexts(t, owner,
			`EXPLAIN SELECT * FROM audit_events WHERE organization_id = '`+c.Own.ID.String()+`' AND `+condition+`
			ORDER BY occurred_at DESC, sequence DESC LIMIT 21`), "\n")
		require.Contains(t, plan, index, "%s", plan)
		require.NotContains(t, plan, "Sort", "%s", plan)
	}
}
