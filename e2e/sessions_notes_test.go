package e2e

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

// noting is a practice with a technician and an analyst who sign notes.
type noting struct {
	*harness.Clinic
	technician, analyst harness.Caller
	own                 uuid.UUID // the technician's practitioner
	authorization       string
	hour                int // of the next session, before now
}

// openNotes opens a practice whose service requires the note.
func openNotes(t *testing.T, rule harness.Body) *noting {
	t.Helper()
	c := harness.OpenInTheAfternoon(t)
	n := &noting{
		Clinic: c, technician: c.As(c.Own.Tokens[rbac.Technician]), analyst: c.As(c.Own.Tokens[rbac.Practitioner]),
		own: c.AddPractitioner(t), authorization: c.Authorize(t, 1000),
	}
	c.LinkUsers(t, c.Own, n.own, c.Own.Patient)
	n.link(t, rbac.Practitioner, c.AddPractitioner(t))
	if rule != nil {
		n.require(t, rule)
	}
	return n
}

func (n *noting) link(t *testing.T, role rbac.Role, practitioner uuid.UUID) {
	t.Helper()
	n.Exec(t, `UPDATE users SET practitioner_id = $1 WHERE id = (SELECT u.id FROM users u JOIN user_roles r
		ON r.organization_id = u.organization_id AND r.user_id = u.id WHERE u.organization_id = $2 AND r.role = $3)`,
		practitioner, n.Own.ID, string(role))
}

// require sets the requirements for notes of all sessions, unless the rule names a first day.
func (n *noting) require(t *testing.T, rule harness.Body) {
	t.Helper()
	b := harness.Body{"startsOn": "2020-01-01"}
	maps.Copy(b, rule)
	n.Admin().Patch(t, "/service-codes/"+n.Own.ServiceCode.String(), harness.Body{"note": b}).OK(t)
}

// session completes an appointment of the technician, and returns the path of its session.
func (n *noting) session(t *testing.T) string {
	t.Helper()
	n.hour += 2
	path := n.Book(t, n.Booking(n.authorization, n.own, n.Ago(time.Duration(n.hour)*time.Hour), time.Hour))
	return "/sessions/" + completed(t, n.Clinic, path)
}

func (n *noting) note(t *testing.T, session string) harness.Answer {
	t.Helper()
	return n.Admin().Get(t, session+"/note").OK(t)
}

// sign signs with the hash of the present text.
func (n *noting) sign(t *testing.T, by harness.Caller, session, role string, changes ...harness.Body) harness.Answer {
	t.Helper()
	b := harness.Body{"role": role, "textHash": n.note(t, session).Text("textHash")}
	if role == "CAREGIVER" {
		b["name"], b["mark"] = "Ana Example", "Ana Example"
	}
	for _, change := range changes {
		for k, v := range change {
			b[k] = v
		}
	}
	return by.Post(t, session+"/signatures", b)
}

// conflicts returns the kinds of conflicts of a session, as the worklist finds them.
func (n *noting) conflicts(t *testing.T, session string) []string {
	t.Helper()
	kinds := []string{}
	for _, kind := range []string{"cap", "duration", "late", "missing-note", "overlap", "unauthorized", "unsigned"} {
		for _, found := range n.Admin().All(t, "/sessions?conflict="+kind, nil) {
			if "/sessions/"+found["id"].(string) == session {
				kinds = append(kinds, kind)
			}
		}
	}
	listed := []any{}
	if of, given := n.Admin().Get(t, session).OK(t).Body["conflicts"].([]any); given {
		listed = of
	}
	require.Len(t, listed, len(kinds))
	for i, kind := range kinds {
		require.Equal(t, kind, listed[i], "the session names its conflicts")
	}
	return kinds
}

func state(t *testing.T, n *noting, session string) string {
	t.Helper()
	read := n.Admin().Get(t, session).OK(t).Body["note"].(map[string]any)
	require.Equal(t, n.note(t, session).Text("state"), read["state"])
	return read["state"].(string)
}

var signedByBoth = harness.Body{"minLength": 10, "sections": []any{"plan"}, "signers": []any{"TECHNICIAN", "SUPERVISOR"}}

var completeNote = harness.Body{"narrative": "Two new mands.", "sections": harness.Body{"plan": "More mands."}}

func TestServiceCodeRequiresANote(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	code := "/service-codes/" + c.Admin().Post(t, "/service-codes", harness.Body{
		"code": "97154", "description": "Group", "note": harness.Body{
			"minLength": 20, "sections": []any{"plan", "goals"}, "signers": []any{"SUPERVISOR", "CAREGIVER"}, "dueHours": 48,
			"startsOn": "2026-01-01",
		},
	}).Created(t).String()
	want := map[string]any{
		"minLength": 20.0, "sections": []any{"goals", "plan"}, "signers": []any{"CAREGIVER", "SUPERVISOR"}, "dueHours": 48.0,
		"startsOn": "2026-01-01",
	}
	require.Equal(t, want, c.Admin().Get(t, code).OK(t).Body["note"])
	changed := c.Admin().Patch(t, code, harness.Body{"note": harness.Body{"signers": []any{"TECHNICIAN"}}}).OK(t)
	require.Equal(t, map[string]any{
		"minLength": 0.0, "sections": []any{}, "signers": []any{"TECHNICIAN"}, "dueHours": nil, "startsOn": c.Date(t, 0),
	}, changed.Body["note"], "a change replaces the requirements as a whole, from today on")
	for name, wrong := range map[string]harness.Body{
		"another section": {"sections": []any{"mood"}}, "another role": {"signers": []any{"PATIENT"}},
		"a role twice": {"signers": []any{"TECHNICIAN", "TECHNICIAN"}}, "no time": {"dueHours": 0},
		"a negative length": {"minLength": -1},
	} {
		a := c.Admin().Patch(t, code, harness.Body{"note": wrong})
		require.Equal(t, http.StatusUnprocessableEntity, a.Status, "%s: %s", name, a.Raw)
	}
	require.Nil(t, c.Admin().Patch(t, code, harness.Body{"note": nil}).OK(t).Body["note"])
	c.As(c.Own.Tokens[rbac.Technician]).Patch(t, code, harness.Body{"note": nil}).Refused(t, http.StatusForbidden, "forbidden")
}

func TestNoteIsSavedWhileTheUserTypes(t *testing.T) {
	t.Parallel()
	n := openNotes(t, nil)
	session := n.session(t)
	require.Equal(t, "NONE", state(t, n, session))
	first := n.technician.Get(t, session+"/note").OK(t)
	require.Equal(t, `"1"`, first.Header.Get("ETag"))

	saved := n.technician.WithHeader("If-Match", `"1"`).Put(t, session+"/note", harness.Body{"narrative": "Two"}).OK(t)
	require.Equal(t, `"2"`, saved.Header.Get("ETag"))
	require.NotContains(t, string(saved.Raw), "Two", "the answer does not repeat the text")
	n.technician.WithHeader("If-Match", `"1"`).Put(t, session+"/note", harness.Body{"narrative": "Other tablet"}).
		Refused(t, http.StatusPreconditionFailed, "stale-version")
	n.technician.WithHeader("If-Match", `"2"`).Put(t, session+"/note", completeNote).OK(t)
	again := n.technician.WithHeader("If-Match", `"2"`).Put(t, session+"/note", completeNote).OK(t)
	require.Equal(t, 3, again.Number(t, "version"), "a repetition of the same text succeeds and changes nothing")

	read := n.technician.Get(t, session+"/note").OK(t)
	require.Equal(t, "Two new mands.", read.Text("narrative"))
	require.Equal(t, "More mands.", read.Body["sections"].(map[string]any)["plan"])
	require.Equal(t, again.Text("textHash"), read.Text("textHash"))
	require.Equal(t, "DRAFT", state(t, n, session))
	whole := n.technician.Get(t, session).OK(t)
	require.Equal(t, "Two new mands.", whole.Text("narrative"))
	require.Equal(t, 1, whole.Number(t, "version"), "a draft makes no version of the session")
	require.Len(t, n.Admin().Get(t, session+"/versions").OK(t).Body["versions"], 1)

	cleared := n.technician.Put(t, session+"/note", harness.Body{}).OK(t)
	require.Equal(t, "NONE", cleared.Text("state"))
	require.Equal(t, first.Text("textHash"), cleared.Text("textHash"))
	n.technician.Patch(t, session, harness.Body{"narrative": "x"}).Refused(t, http.StatusMethodNotAllowed, "method-not-allowed")
}

func TestOfflineDraftIsSentOnce(t *testing.T) {
	t.Parallel()
	n := openNotes(t, nil)
	session := n.session(t)
	offline := n.technician.WithHeader("Idempotency-Key", "draft-1").WithHeader("If-Match", `"1"`)
	first := offline.Put(t, session+"/note", harness.Body{"narrative": "Offline."}).OK(t)
	n.technician.Put(t, session+"/note", harness.Body{"narrative": "Online."}).OK(t)
	again := offline.Put(t, session+"/note", harness.Body{"narrative": "Offline."}).OK(t)
	require.Equal(t, string(first.Raw), string(again.Raw))
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.Equal(t, "Online.", n.note(t, session).Text("narrative"))
	offline.Put(t, session+"/note", harness.Body{"narrative": "Another text."}).
		Refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
	require.Zero(t, n.Count(t, "SELECT count(*) FROM commands WHERE answer::text LIKE '%Offline.%'"), "no clinical text")
}

func TestSignaturesCloseTheNote(t *testing.T) {
	t.Parallel()
	n := openNotes(t, signedByBoth)
	session := n.session(t)
	n.technician.Put(t, session+"/note", harness.Body{"narrative": "Short."}).OK(t)
	refused := n.sign(t, n.technician, session, "TECHNICIAN").Refused(t, http.StatusConflict, "note-incomplete")
	require.Equal(t, []any{"plan"}, refused.Body["missingSections"])
	require.Equal(t, []int{6, 10}, []int{refused.Number(t, "length"), refused.Number(t, "minLength")})
	old := n.note(t, session).Text("textHash")
	n.technician.Put(t, session+"/note", completeNote).OK(t)
	n.technician.Post(t, session+"/signatures", harness.Body{"role": "TECHNICIAN", "textHash": old}).
		Refused(t, http.StatusConflict, "note-changed")
	n.technician.Post(t, session+"/signatures", harness.Body{"role": "TECHNICIAN", "textHash": strings.Repeat("x", 64)}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	n.sign(t, n.technician.WithHeader("If-Match", `"2"`), session, "TECHNICIAN").
		Refused(t, http.StatusPreconditionFailed, "stale-version")

	signed := n.sign(t, n.technician, session, "TECHNICIAN")
	require.Equal(t, http.StatusCreated, signed.Status, "%s", signed.Raw)
	require.Equal(t, "SIGNED", signed.Text("state"))
	require.Equal(t, []any{"SUPERVISOR"}, signed.Body["missingSigners"])
	signature := signed.Body["signatures"].([]any)[0].(map[string]any)
	require.Equal(t, n.technician.Get(t, "/auth/me").Text("id"), signature["signedBy"])
	require.Equal(t, n.own.String(), signature["practitionerId"])
	require.EqualValues(t, 1, signature["sessionVersion"])
	require.Equal(t, n.note(t, session).Text("textHash"), signature["textHash"])
	require.Equal(t, true, signature["counts"])
	evidence := n.Admin().Get(t, session+"/signatures").OK(t).Body["signatures"].([]any)[0].(map[string]any)
	require.Equal(t, "127.0.0.1", evidence["address"])
	require.Equal(t, "Two new mands.", evidence["narrative"])

	for _, by := range []harness.Caller{n.technician, n.Admin()} {
		by.Put(t, session+"/note", harness.Body{"narrative": "Three new mands."}).
			Refused(t, http.StatusConflict, "note-closed")
	}
	n.technician.Put(t, session+"/note", completeNote).OK(t)
	n.sign(t, n.technician, session, "TECHNICIAN").Refused(t, http.StatusConflict, "already-signed")
	n.technician.Post(t, session+"/addenda", harness.Body{"text": "The mother came late."}).Created(t)
	cosigned := n.sign(t, n.analyst, session, "SUPERVISOR")
	require.Equal(t, "COSIGNED", cosigned.Text("state"))
	require.Empty(t, cosigned.Body["missingSigners"])
	require.Equal(t, "COSIGNED", state(t, n, session))
	require.Error(t, n.TryAsProgram(t, "UPDATE session_signatures SET address = 'x'"))
	require.Error(t, n.TryAsProgram(t, "DELETE FROM session_signed_notes"))
	n.RequireGuarded(t, "UPDATE session_signatures SET address = 'x'")
	n.RequireClean(t)
}

func TestWhoMaySign(t *testing.T) {
	t.Parallel()
	n := openNotes(t, nil)
	session := n.session(t)
	n.sign(t, n.technician, session, "TECHNICIAN").Refused(t, http.StatusConflict, "note-incomplete")
	n.technician.Put(t, session+"/note", completeNote).OK(t)
	n.sign(t, n.analyst, session, "TECHNICIAN").Refused(t, http.StatusForbidden, "not-a-signer")
	n.sign(t, n.technician, session, "SUPERVISOR").Refused(t, http.StatusForbidden, "not-a-signer")
	n.sign(t, n.Admin(), session, "SUPERVISOR").Refused(t, http.StatusForbidden, "not-a-signer")
	n.sign(t, n.As(n.Own.Tokens[rbac.Biller]), session, "SUPERVISOR").Refused(t, http.StatusForbidden, "forbidden")
	n.sign(t, n.As(n.Other.Tokens[rbac.Admin]), session, "SUPERVISOR").Refused(t, http.StatusNotFound, "session-not-found")
	_, key := n.AddAPIKey(t, "session:change", "session:read", "session:read-narrative")
	n.sign(t, n.As(key), session, "CAREGIVER").Refused(t, http.StatusForbidden, "people-only")

	alone := "/sessions/" + completed(t, n.Clinic, n.Book(t, n.Booking(n.authorization,
		uuid.MustParse(n.Admin().Get(t, "/practitioners").OK(t).Body["data"].([]any)[1].(map[string]any)["id"].(string)),
		n.Ago(30*time.Hour), time.Hour)))
	n.analyst.Put(t, alone+"/note", completeNote).OK(t)
	n.technician.Get(t, alone+"/note").Refused(t, http.StatusNotFound, "session-not-found")
	n.technician.Put(t, alone+"/note", completeNote).Refused(t, http.StatusNotFound, "session-not-found")
	require.Equal(t, http.StatusCreated, n.sign(t, n.analyst, alone, "TECHNICIAN").Status)
	n.sign(t, n.analyst, alone, "SUPERVISOR").Refused(t, http.StatusForbidden, "not-a-signer")
}

func TestCaregiverSignsOnTheDevice(t *testing.T) {
	t.Parallel()
	n := openNotes(t, harness.Body{"signers": []any{"TECHNICIAN", "CAREGIVER"}})
	session := n.session(t)
	n.technician.Put(t, session+"/note", completeNote).OK(t)
	const drawing = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNiAAAABgADNjd8qAAAAABJRU5ErkJggg=="
	for name, wrong := range map[string]harness.Body{
		"no name": {"name": nil}, "no mark": {"mark": nil}, "a page": {"mark": "data:text/html;base64,PGI+"},
		"no image": {"mark": "data:image/png;base64,PGI+"}, "a long text": {"mark": strings.Repeat("x", 201)},
	} {
		a := n.sign(t, n.technician, session, "CAREGIVER", wrong)
		require.Equal(t, http.StatusUnprocessableEntity, a.Status, "%s: %s", name, a.Raw)
	}
	n.sign(t, n.technician, session, "TECHNICIAN", harness.Body{"name": "Ana", "mark": "Ana"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	signed := n.sign(t, n.technician, session, "CAREGIVER", harness.Body{"mark": drawing})
	require.Equal(t, http.StatusCreated, signed.Status, "%s", signed.Raw)
	require.Equal(t, []any{"TECHNICIAN"}, signed.Body["missingSigners"])
	signature := signed.Body["signatures"].([]any)[0].(map[string]any)
	require.Equal(t, "Ana Example", signature["name"])
	require.Nil(t, signature["practitionerId"])

	for _, path := range []string{session, session + "/note", "/sessions"} {
		require.NotContains(t, string(n.technician.Get(t, path).OK(t).Raw), "base64", "no mark in %s", path)
	}
	evidence := n.As(n.Own.Tokens[rbac.Auditor]).Get(t, session+"/signatures").OK(t)
	require.Equal(t, drawing, evidence.Body["signatures"].([]any)[0].(map[string]any)["mark"])
	hidden := n.As(n.Own.Tokens[rbac.Biller]).Get(t, session+"/signatures").OK(t).Body["signatures"].([]any)[0].(map[string]any)
	for _, member := range []string{"mark", "narrative", "sections"} {
		require.Nil(t, hidden[member], member)
	}
	require.Equal(t, http.StatusCreated, n.sign(t, n.technician, session, "TECHNICIAN").Status)
	require.Equal(t, "COSIGNED", state(t, n, session))
}

func TestVoidedSessionCannotBeSigned(t *testing.T) {
	t.Parallel()
	n := openNotes(t, nil)
	session := n.session(t)
	n.technician.Put(t, session+"/note", completeNote).OK(t)
	n.Admin().Post(t, session+"/void", harness.Body{"reason": "Other child.", "appointment": "CANCELLED"}).OK(t)
	n.sign(t, n.technician, session, "TECHNICIAN").Refused(t, http.StatusConflict, "session-voided")
	require.Empty(t, n.Admin().Get(t, session+"/signatures").OK(t).Body["signatures"])
}

func TestCorrectionAsksForNewSignatures(t *testing.T) {
	t.Parallel()
	n := openNotes(t, signedByBoth)
	session := n.session(t)
	n.technician.Put(t, session+"/note", completeNote).OK(t)
	require.Equal(t, http.StatusCreated, n.sign(t, n.technician, session, "TECHNICIAN").Status)
	require.Equal(t, http.StatusCreated, n.sign(t, n.analyst, session, "SUPERVISOR").Status)
	require.Empty(t, n.conflicts(t, session))

	end := n.Admin().Get(t, session).OK(t).Text("endTime")
	earlier, err := time.Parse(time.RFC3339, end)
	require.NoError(t, err)
	n.Admin().Post(t, session+"/correct", harness.Body{"endTime": earlier.Add(-30 * time.Minute), "reason": "Left early."}).OK(t)
	require.Equal(t, "DRAFT", state(t, n, session))
	require.Equal(t, []string{"unsigned"}, n.conflicts(t, session))
	for _, g := range n.note(t, session).Body["signatures"].([]any) {
		require.Equal(t, false, g.(map[string]any)["counts"])
	}
	n.technician.Put(t, session+"/note", harness.Body{
		"narrative": "Two new mands in half an hour.", "sections": harness.Body{"plan": "More mands."},
	}).OK(t)
	signed := n.sign(t, n.technician, session, "TECHNICIAN")
	require.Equal(t, "SIGNED", signed.Text("state"))
	all := n.Admin().Get(t, session+"/signatures").OK(t).Body["signatures"].([]any)
	require.Len(t, all, 3)
	first, last := all[0].(map[string]any), all[2].(map[string]any)
	require.Equal(t, "Two new mands.", first["narrative"], "the text as it was signed")
	require.Equal(t, "Two new mands in half an hour.", last["narrative"])
	require.EqualValues(t, 2, last["sessionVersion"])
}

func TestRecountNeedsNoNewSignature(t *testing.T) {
	t.Parallel()
	n := openNotes(t, harness.Body{"signers": []any{"TECHNICIAN"}})
	insurance := n.AddInsurance(t, "rounding", "CMS_TOTAL")
	path := n.Authorize(t, 100, harness.Body{"insuranceId": insurance})
	at := n.At(t, -1, "09:00")
	deliver := func(after, length time.Duration) string {
		return "/sessions/" + completed(t, n.Clinic, n.Book(t, n.Booking(path, n.own, at.Add(after), length)))
	}
	session, other := deliver(0, 7*time.Minute), deliver(time.Hour, 33*time.Minute)
	n.technician.Put(t, session+"/note", completeNote).OK(t)
	require.Equal(t, http.StatusCreated, n.sign(t, n.technician, session, "TECHNICIAN").Status)
	before := n.Admin().Get(t, session).OK(t)
	n.Admin().Post(t, other+"/correct",
		harness.Body{"endTime": at.Add(time.Hour + 23*time.Minute), "reason": "Ten minutes less."}).OK(t)
	after := n.Admin().Get(t, session).OK(t)
	require.Equal(t, "RECOUNTED", after.Text("change"))
	require.Greater(t, after.Number(t, "version"), before.Number(t, "version"))
	require.Equal(t, "SIGNED", state(t, n, session))
	require.Empty(t, n.conflicts(t, session))
	n.technician.Put(t, session+"/note", harness.Body{"narrative": "x"}).Refused(t, http.StatusConflict, "note-closed")
}

func TestTechnicianCorrectsUntilSigned(t *testing.T) {
	t.Parallel()
	year, month, day := time.Now().In(harness.NewYork(t)).Date()
	noon := time.Date(year, month, day-1, 12, 0, 0, 0, harness.NewYork(t))
	database := dbtest.New(t)
	c := &harness.Clinic{Database: database, Clock: harness.FrozenClock(noon)}
	c.Start(t, database.Open(t))
	c.Own, c.Other = c.AddPractice(t, "own"), c.AddPractice(t, "other")
	practitioner := c.AddPractitioner(t)
	c.LinkUsers(t, c.Own, practitioner, c.Own.Patient)
	technician := c.As(c.Own.Tokens[rbac.Technician])
	session := "/sessions/" + completed(t, c, c.Book(t,
		c.Booking(c.Authorize(t, 20), practitioner, noon.Add(-2*time.Hour), time.Hour)))
	correction := harness.Body{"endTime": noon.Add(-90 * time.Minute), "reason": "Typing error."}
	keyed := technician.WithHeader("Idempotency-Key", "correction")
	keyed.Post(t, session+"/correct", correction).OK(t)
	written := technician.Put(t, session+"/note", completeNote).OK(t)
	require.Equal(t, http.StatusCreated, technician.Post(t, session+"/signatures",
		harness.Body{"role": "TECHNICIAN", "textHash": written.Text("textHash")}).Status)
	for call, b := range map[string]harness.Body{
		"/correct": {"reason": "Late."}, "/void": {"appointment": "CANCELLED", "reason": "Late."}, "/correct/preview": {},
	} {
		technician.Post(t, session+call, b).Refused(t, http.StatusConflict, "session-signed")
	}
	repeated := keyed.Post(t, session+"/correct", correction).OK(t)
	require.EqualValues(t, 2, repeated.Body["session"].(map[string]any)["version"], "it took effect before the signature")
	refused := technician.WithHeader("Idempotency-Key", "too late")
	for range 2 {
		refused.Post(t, session+"/correct", harness.Body{"reason": "Late."}).Refused(t, http.StatusConflict, "session-signed")
	}
	c.Admin().Post(t, session+"/void", harness.Body{"appointment": "CANCELLED", "reason": "Wrong child."}).OK(t)
	technician.Put(t, session+"/note", harness.Body{"narrative": "x"}).Refused(t, http.StatusConflict, "session-voided")
}

func TestWorklistOfNotes(t *testing.T) {
	t.Parallel()
	n := openNotes(t, harness.Body{"minLength": 10, "signers": []any{"TECHNICIAN", "SUPERVISOR"}, "dueHours": 12})
	missing, fresh := n.session(t), n.session(t)
	n.hour = 20
	late := n.session(t)
	require.Equal(t, []string{"missing-note", "unsigned"}, n.conflicts(t, missing))
	require.Equal(t, []string{"late", "missing-note", "unsigned"}, n.conflicts(t, late))
	require.Equal(t, "LATE", state(t, n, late))
	n.technician.Put(t, fresh+"/note", harness.Body{"narrative": "Short."}).OK(t)
	require.Equal(t, []string{"missing-note", "unsigned"}, n.conflicts(t, fresh), "an incomplete note is missing")
	n.technician.Put(t, fresh+"/note", harness.Body{"narrative": "Long enough."}).OK(t)
	require.Equal(t, []string{"unsigned"}, n.conflicts(t, fresh))

	oldest := n.Admin().All(t, "/sessions?conflict=missing-note&sort=startTime&practitionerId="+n.own.String(), nil)
	require.Len(t, oldest, 2, "by technician and age")
	require.Equal(t, harness.IDOf(late), oldest[0]["id"])
	require.Len(t, n.Admin().All(t, "/sessions?conflict=missing-note&conflict=unsigned", nil), 3)
	require.Empty(t, n.Admin().All(t, "/sessions?conflict=missing-note&practitionerId="+n.AddPractitioner(t).String(), nil))
	counts := func(by harness.Caller) map[string]int {
		found := map[string]int{}
		for _, each := range by.Get(t, "/sessions/conflicts").OK(t).Body["conflicts"].([]any) {
			count := each.(map[string]any)
			require.Equal(t, n.own.String(), count["practitionerId"])
			found[count["kind"].(string)] = int(count["sessions"].(float64))
		}
		return found
	}
	require.Equal(t, map[string]int{"late": 1, "missing-note": 2, "unsigned": 3}, counts(n.Admin()))
	require.Equal(t, counts(n.Admin()), counts(n.technician), "a technician counts own sessions")
	require.Empty(t, counts(n.As(n.Other.Tokens[rbac.Admin])))

	awaiting := func(by harness.Caller) (all []string) {
		for _, each := range by.All(t, "/sessions?awaitingMySignature=true", nil) {
			all = append(all, "/sessions/"+each["id"].(string))
		}
		return all
	}
	require.Equal(t, []string{fresh}, awaiting(n.technician))
	require.Empty(t, awaiting(n.analyst), "the technician signs first")
	require.Empty(t, awaiting(n.Admin()), "an administrator is no practitioner")
	require.Len(t, n.technician.All(t, "/sessions?awaitingMySignature=false", nil), 2)
	require.Equal(t, http.StatusCreated, n.sign(t, n.technician, fresh, "TECHNICIAN").Status)
	require.Empty(t, awaiting(n.technician))
	require.Equal(t, []string{fresh}, awaiting(n.analyst))
	require.Equal(t, http.StatusCreated, n.sign(t, n.analyst, fresh, "SUPERVISOR").Status)
	require.Empty(t, awaiting(n.analyst))
	require.Empty(t, n.conflicts(t, fresh), "the conflicts end by themselves")

	n.Admin().Post(t, late+"/void", harness.Body{"appointment": "CANCELLED", "reason": "The family did not come."}).OK(t)
	require.Empty(t, n.conflicts(t, late), "a voided session needs no note")
	n.require(t, harness.Body{"startsOn": n.Date(t, 1)})
	require.NotEmpty(t, n.conflicts(t, missing), "earlier sessions keep their requirements")
	n.require(t, nil)
	require.Equal(t, "NONE", state(t, n, missing))
	n.Admin().Get(t, "/sessions?conflict=mood").Refused(t, http.StatusUnprocessableEntity, "validation-failed")
}

// TestWorklistCoversAYear has an unsigned session that is older than a year.
func TestWorklistCoversAYear(t *testing.T) {
	t.Parallel()
	n := openNotes(t, harness.Body{"signers": []any{"TECHNICIAN"}})
	path := n.Authorize(t, 10, harness.Body{"startDate": n.Date(t, -500)})
	old := completed(t, n.Clinic, n.Book(t, n.Booking(path, n.own, n.At(t, -400, "09:00"), time.Hour)))
	n.technician.Put(t, "/sessions/"+old+"/note", completeNote).OK(t)
	from := "from=" + n.Date(t, -450)
	for _, list := range []string{"/sessions?conflict=unsigned&", "/sessions?awaitingMySignature=true&"} {
		require.Empty(t, n.technician.All(t, list, nil))
		require.Equal(t, []string{old}, harness.Column(n.technician.All(t, list+from, nil), "id"))
		require.Equal(t, []string{old}, harness.Column(n.technician.All(t, list+"to="+n.Date(t, -100), nil), "id"))
	}
	require.Empty(t, n.Admin().Get(t, "/sessions/conflicts").OK(t).Body["conflicts"])
	require.Len(t, n.Admin().Get(t, "/sessions/conflicts?"+from).OK(t).Body["conflicts"], 1)
	require.Len(t, n.Admin().All(t, "/sessions", nil), 1, "only worklists have a default")
}

func TestUnauthorizedSessionIsAConflict(t *testing.T) {
	t.Parallel()
	n := openNotes(t, nil)
	path := n.Authorize(t, 2)
	session := "/sessions/" + completed(t, n.Clinic, n.Book(t, n.Booking(path, n.own, n.Ago(3*time.Hour), 30*time.Minute)),
		harness.Body{"endTime": n.Ago(2 * time.Hour)})
	require.Equal(t, []string{"unauthorized"}, n.conflicts(t, session))
	n.Admin().Patch(t, path, harness.Body{"totalUnits": 4, "reason": "Granted."}).OK(t)
	n.Admin().Post(t, session+"/correct", harness.Body{"reason": "Units were granted."}).OK(t)
	require.Empty(t, n.conflicts(t, session))
}

func TestExceededCapIsAConflict(t *testing.T) {
	t.Parallel()
	for period, limit := range map[string]int{"DAY": 8, "WEEK": 8, "MONTH": 8, "TOTAL": 8} {
		n := openNotes(t, nil)
		path := n.Authorize(t, 100, harness.Body{"caps": []harness.Body{{"period": period, "units": limit}}})
		at := n.At(t, -1, "09:00")
		first := n.Book(t, n.Booking(path, n.own, at, time.Hour))
		second := n.Book(t, n.Booking(path, n.own, at.Add(2*time.Hour), time.Hour))
		later := "/sessions/" + completed(t, n.Clinic, second, harness.Body{"endTime": at.Add(3*time.Hour + 30*time.Minute)})
		require.Empty(t, n.conflicts(t, later), "%s: six units of eight", period)
		earlier := "/sessions/" + completed(t, n.Clinic, first)
		require.Equal(t, []string{"cap"}, n.conflicts(t, later), "%s: ten units of eight", period)
		require.Empty(t, n.conflicts(t, earlier), "%s: the first session is within the cap", period)
		counts := n.Admin().Get(t, "/sessions/conflicts").OK(t).Body["conflicts"].([]any)
		require.Len(t, counts, 1)
		require.Equal(t, "cap", counts[0].(map[string]any)["kind"])

		n.Admin().Patch(t, path, harness.Body{"caps": []harness.Body{{"period": period, "units": 10}}, "reason": "Granted."}).OK(t)
		require.Empty(t, n.conflicts(t, later), "%s: the payer allows more units", period)
		n.Admin().Patch(t, path, harness.Body{"caps": []harness.Body{{"period": period, "units": 9}}, "reason": "Mistyped."}).OK(t)
		require.Equal(t, []string{"cap"}, n.conflicts(t, later))
		n.Admin().Post(t, later+"/correct", harness.Body{"endTime": at.Add(3 * time.Hour), "reason": "Mistyped."}).OK(t)
		require.Empty(t, n.conflicts(t, later), "%s: eight units", period)
	}
}

func TestSessionThatIsTooShortForAUnitIsAConflict(t *testing.T) {
	t.Parallel()
	n := openNotes(t, nil)
	path := n.Authorize(t, 10, harness.Body{"insuranceId": n.AddInsurance(t, "rounding", "FLOOR")})
	at := n.At(t, -1, "09:00")
	session := "/sessions/" + completed(t, n.Clinic, n.Book(t, n.Booking(path, n.own, at, time.Hour)),
		harness.Body{"endTime": at.Add(14 * time.Minute), "confirm": true})
	require.Equal(t, []string{"duration"}, n.conflicts(t, session))
	n.Admin().Post(t, session+"/correct", harness.Body{"endTime": at.Add(15 * time.Minute), "confirm": true, "reason": "Mistyped."}).OK(t)
	require.Empty(t, n.conflicts(t, session))

	together := n.Authorize(t, 10, harness.Body{"insuranceId": n.AddInsurance(t, "rounding", "CMS_TOTAL")})
	short := "/sessions/" + completed(t, n.Clinic, n.Book(t, n.Booking(together, n.own, at.Add(2*time.Hour), time.Hour)),
		harness.Body{"endTime": at.Add(2*time.Hour + 7*time.Minute), "confirm": true})
	require.Empty(t, n.conflicts(t, short), "the payer rounds the minutes of the whole visit")
}

func TestOverlapIsAConflictOfBothSessions(t *testing.T) {
	t.Parallel()
	n := openNotes(t, nil)
	other := n.Authorize(t, 100, harness.Body{"patientId": n.AddPatient(t)})
	patient := n.Admin().Get(t, other).OK(t).Text("patientId")
	first := "/sessions/" + completed(t, n.Clinic,
		n.Book(t, n.Booking(other, n.own, n.Ago(4*time.Hour), time.Hour, harness.Body{"patientId": patient})))
	second := "/sessions/" + completed(t, n.Clinic, n.Book(t, n.Booking(n.authorization, n.own, n.Ago(3*time.Hour), time.Hour)),
		harness.Body{"startTime": n.Ago(210 * time.Minute), "overlapReason": "Joint work."})
	require.Equal(t, []string{"overlap"}, n.conflicts(t, second))
	require.Equal(t, []string{"overlap"}, n.conflicts(t, first), "both sessions are on the list")
	n.Admin().Post(t, first+"/correct", harness.Body{"endTime": n.Ago(210 * time.Minute), "reason": "It ended earlier."}).OK(t)
	require.Empty(t, n.conflicts(t, second), "the conflict ends with the overlap")
}

// TestServicesThatMayRunTogetherAreNoConflict accepts an overlap of a child's direct treatment, while
// an analyst supervises it.
func TestServicesThatMayRunTogetherAreNoConflict(t *testing.T) {
	t.Parallel()
	n := openNotes(t, nil)
	n.Admin().Put(t, "/service-pairs", harness.Body{"pairs": []harness.Body{{"code": "97153", "otherCode": "97155"}}})
	supervision := addService(t, n.Clinic, "97155")
	advice := n.Authorize(t, 100, harness.Body{"serviceCodeId": supervision})
	at := n.At(t, -1, "09:00")
	supervised := "/sessions/" + completed(t, n.Clinic, n.Book(t, n.Booking(advice, n.AddPractitioner(t),
		at.Add(10*time.Minute), 30*time.Minute, harness.Body{"serviceCodeId": supervision})))
	first := "/sessions/" + completed(t, n.Clinic, n.Book(t, n.Booking(n.authorization, n.own, at, time.Hour)))
	second := n.Book(t, n.Booking(n.authorization, n.AddPractitioner(t), at.Add(time.Hour), time.Hour))
	completed(t, n.Clinic, second, harness.Body{"startTime": at.Add(30 * time.Minute), "overlapReason": "Two adults were needed."})
	require.Equal(t, []string{"overlap"}, n.conflicts(t, first))
	require.Empty(t, n.conflicts(t, supervised), "it may run together with both")
}

// TestHashOfANoteIsTheSameInTheDatabase signs texts with characters of several bytes and line breaks.
func TestHashOfANoteIsTheSameInTheDatabase(t *testing.T) {
	t.Parallel()
	n := openNotes(t, nil)
	for _, text := range []harness.Body{
		{"narrative": "Zwölf Wörter – ‚quoted‘\r\nand\t\"more\"\n"},
		{"sections": harness.Body{"response": "Ä\n3\nplan\n"}},
		{"narrative": "", "sections": harness.Body{"goals": "a", "interventions": "b", "response": "c", "plan": "d"}},
		{"narrative": "4\nplan\n", "sections": harness.Body{"plan": "\\u0041 😀", "goals": ""}},
	} {
		session := n.session(t)
		n.technician.Put(t, session+"/note", text).OK(t)
		require.Equal(t, http.StatusCreated, n.sign(t, n.technician, session, "TECHNICIAN").Status)
		require.Equal(t, "SIGNED", state(t, n, session), "%v", text)
	}
}

// TestTamperedNoteIsUnsigned changes a signed text behind the program's back.
func TestTamperedNoteIsUnsigned(t *testing.T) {
	t.Parallel()
	n := openNotes(t, harness.Body{"signers": []any{"TECHNICIAN"}})
	session := n.session(t)
	n.technician.Put(t, session+"/note", completeNote).OK(t)
	require.Equal(t, http.StatusCreated, n.sign(t, n.technician, session, "TECHNICIAN").Status)
	n.ExecAsOwner(t, "UPDATE sessions SET narrative = 'Twelve new mands.' WHERE id = $1", harness.IDOf(session))
	require.Equal(t, "DRAFT", state(t, n, session))
	require.Equal(t, []string{"unsigned"}, n.conflicts(t, session))
}

// TestOneOfConcurrentSignaturesWins signs ten times at once in the same role.
func TestOneOfConcurrentSignaturesWins(t *testing.T) {
	t.Parallel()
	n := openNotes(t, nil)
	session := n.session(t)
	n.technician.Put(t, session+"/note", completeNote).OK(t)
	b := harness.Body{"role": "TECHNICIAN", "textHash": n.note(t, session).Text("textHash")}
	answers := make([]harness.Answer, 10)
	harness.Concurrently(len(answers), func(i int) { answers[i] = n.technician.Post(t, session+"/signatures", b) })
	won := 0
	for _, a := range answers {
		if a.Status == http.StatusCreated {
			won++
			continue
		}
		a.Refused(t, http.StatusConflict, "already-signed")
	}
	require.Equal(t, 1, won)
	require.Len(t, n.note(t, session).Body["signatures"], 1)
}

// TestSignedSessionIsAnEvent reads the event of each signature. It has no text, and names neither the
// patient nor the caregiver.
func TestSignedSessionIsAnEvent(t *testing.T) {
	t.Parallel()
	n := openNotes(t, harness.Body{"signers": []any{"TECHNICIAN", "CAREGIVER"}})
	n.StartEvents(t)
	session := n.session(t)
	n.technician.Put(t, session+"/note", completeNote).OK(t)
	events := n.Admin().Stream(t, "?types=session.signed")
	require.Equal(t, "ready", events.Next(t).Name)
	promises, err := harness.PublishedContract()
	require.NoError(t, err)
	whole := n.Admin().Get(t, session).OK(t)
	for _, after := range []struct {
		role, state string
		missing     []any
	}{{"TECHNICIAN", "SIGNED", []any{"CAREGIVER"}}, {"CAREGIVER", "COSIGNED", []any{}}} {
		signed := n.sign(t, n.technician, session, after.role)
		require.Equal(t, http.StatusCreated, signed.Status, "%s", signed.Raw)
		event := events.Next(t)
		promises.RequireEvent(t, event.Name, map[string]any(event.Data))
		require.Equal(t, harness.IDOf(session), event.Data["subjectId"])
		signatures := signed.Body["signatures"].([]any)
		signature := signatures[len(signatures)-1].(map[string]any)
		require.Equal(t, harness.Body{
			"sessionId": harness.IDOf(session), "appointmentId": whole.Text("appointmentId"),
			"practitionerIds": []any{n.own.String()}, "signatureId": signature["id"], "role": after.role,
			"state": after.state, "missingSigners": after.missing, "signedAt": signature["signedAt"], "version": 1.0,
		}, event.Payload(t))
	}
	n.sign(t, n.technician, session, "TECHNICIAN").Refused(t, http.StatusConflict, "already-signed")
	require.Equal(t, 2, n.Count(t, "SELECT count(*) FROM events WHERE type = 'session.signed'"))
}

// TestVerifyFindsTamperedNotes changes signatures, notes and addenda behind the program's back.
func TestVerifyFindsTamperedNotes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tamper string
		checks []string // that fail
	}{
		"the signed text": {"UPDATE session_signed_notes SET narrative = 'Ten mands.'", []string{"signature"}},
		"a section of the signed text": {
			`UPDATE session_signed_notes SET note_sections = '{"plan": "None."}'`, []string{"signature"},
		},
		"a signed text that is gone": {"DELETE FROM session_signed_notes", []string{"signature"}},
		"the hash of a signature": {
			"UPDATE session_signatures SET text_hash = sha256('x')", []string{"note", "signature"},
		},
		"the version of a signature": {
			"UPDATE session_signatures SET session_version = 7", []string{"note", "signature"},
		},
		"the signer of a signature": {
			"UPDATE session_signatures SET signed_by = gen_random_uuid()", []string{"signature"},
		},
		"the time of a signature": {
			"UPDATE session_signatures SET signed_at = signed_at - interval '1 day'", []string{"signature"},
		},
		"the note after a signature": {"UPDATE sessions SET narrative = 'Ten mands.'", []string{"note"}},
		"an addendum":                {"UPDATE session_addenda SET text = 'x'", []string{"addendum"}},
		"the signer of an addendum": {
			"UPDATE session_addenda SET signed_by = gen_random_uuid()", []string{"addendum"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := openNotes(t, nil)
			corrected, voided := n.session(t), n.session(t)
			for _, session := range []string{corrected, voided} {
				n.technician.Put(t, session+"/note", completeNote).OK(t)
				require.Equal(t, http.StatusCreated, n.sign(t, n.technician, session, "TECHNICIAN").Status)
				n.technician.Post(t, session+"/addenda", harness.Body{"text": "The mother came late."}).Created(t)
			}
			n.Admin().Post(t, voided+"/void", harness.Body{"reason": "Other child.", "appointment": "CANCELLED"}).OK(t)
			n.Admin().Post(t, corrected+"/correct",
				harness.Body{"endTime": startOf(t, n.Clinic, corrected).Add(45 * time.Minute), "reason": "Left early."}).OK(t)
			n.technician.Put(t, corrected+"/note", harness.Body{"narrative": "One new mand."}).OK(t)
			require.Equal(t, http.StatusCreated, n.sign(t, n.technician, corrected, "TECHNICIAN").Status)
			n.RequireClean(t)

			owner := n.Owner(t)
			for _, table := range []string{"session_signatures", "session_signed_notes", "session_addenda"} {
				_, err := owner.ExecContext(t.Context(), "ALTER TABLE "+table+" DISABLE TRIGGER USER")
				require.NoError(t, err)
			}
			_, err := owner.ExecContext(t.Context(), test.tamper)
			require.NoError(t, err)
			require.Equal(t, test.checks, brokenChecks(n.Admin().Verify(t)))
		})
	}
}

// TestVerifyChecksEachSignedSessionOnce tampers the signed text of one session.
func TestVerifyChecksEachSignedSessionOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		deliver func(t *testing.T, n *noting) string
		void    bool
	}{
		"a voided session": {func(t *testing.T, n *noting) string { return n.session(t) }, true},
		"a group with an absent patient": {func(t *testing.T, n *noting) string {
			appointment, _ := group(t, n.Clinic, n.AddPatient(t), n.AddPatient(t))
			return "/sessions/" + completed(t, n.Clinic, appointment, harness.Body{
				"patients": []harness.Body{{"patientId": n.Own.Patient, "attended": false}},
			})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := openNotes(t, nil)
			session := test.deliver(t, n)
			n.Admin().Put(t, session+"/note", completeNote).OK(t)
			require.Equal(t, http.StatusCreated, n.sign(t, n.Admin(), session, "CAREGIVER").Status)
			if test.void {
				n.Admin().Post(t, session+"/void", harness.Body{"reason": "Other child.", "appointment": "CANCELLED"}).OK(t)
			}
			n.RequireClean(t)
			owner := n.Owner(t)
			_, err := owner.ExecContext(t.Context(), "ALTER TABLE session_signed_notes DISABLE TRIGGER USER")
			require.NoError(t, err)
			_, err = owner.ExecContext(t.Context(), "UPDATE session_signed_notes SET narrative = 'Ten mands.'")
			require.NoError(t, err)
			verified := n.Admin().Verify(t)
			require.Len(t, verified.Body["problems"], 1)
			require.Equal(t, []string{"signature"}, brokenChecks(verified))
		})
	}
}

// brokenChecks returns the names of the checks that a verification failed, sorted.
func brokenChecks(verified harness.Answer) []string {
	var names []string
	for _, problem := range verified.Body["problems"].([]any) {
		if name := problem.(map[string]any)["check"].(string); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestNoteRuleOfTheServiceDateCounts makes the rules stricter after sessions took place.
func TestNoteRuleOfTheServiceDateCounts(t *testing.T) {
	t.Parallel()
	n := openNotes(t, nil)
	code := "/service-codes/" + n.Own.ServiceCode.String()
	at := func(day int) string {
		start := n.At(t, day, "10:00")
		if day == 0 {
			start = n.Ago(2 * time.Hour)
		}
		booked := n.Book(t, n.Booking(n.authorization, n.own, start, time.Hour))
		return "/sessions/" + completed(t, n.Clinic, booked, harness.Body{"narrative": "Two new mands."})
	}
	older, yesterday, today := at(-3), at(-1), at(0)
	change := func(note any) harness.Answer { return n.Admin().Patch(t, code, harness.Body{"note": note}).OK(t) }
	conflicts := func() [][]string {
		return [][]string{n.conflicts(t, older), n.conflicts(t, yesterday), n.conflicts(t, today)}
	}
	none, missing, unsigned := []string{}, []string{"missing-note"}, []string{"unsigned"}

	changed := change(harness.Body{"minLength": 1000})
	require.Equal(t, [][]string{none, none, missing}, conflicts(), "a new rule begins today")
	require.Equal(t, []any{"0001-01-01", n.Date(t, 0)}, columnOf(changed.Body["noteRules"], "startsOn"))
	version := changed.Number(t, "version")
	require.Equal(t, version, change(harness.Body{"minLength": 1000}).Number(t, "version"), "the same rule again")

	change(harness.Body{"signers": []any{"TECHNICIAN"}, "startsOn": n.Date(t, -2)})
	require.Equal(t, [][]string{none, unsigned, missing}, conflicts(), "an earlier day is possible; later rules stay")
	require.Equal(t, false, n.note(t, older).Body["required"])
	require.Equal(t, true, n.note(t, yesterday).Body["required"])

	changed = change(harness.Body{"minLength": 2000, "startsOn": n.Date(t, 5)})
	require.Equal(t, [][]string{none, unsigned, missing}, conflicts())
	require.Equal(t, 1000.0, changed.Body["note"].(map[string]any)["minLength"], "the rule of today")
	changed = change(nil)
	require.Equal(t, [][]string{none, unsigned, none}, conflicts(), "no note is required from today on")
	require.Nil(t, changed.Body["note"])
	require.Equal(t, []any{"0001-01-01", n.Date(t, -2), n.Date(t, 0), n.Date(t, 5)},
		columnOf(changed.Body["noteRules"], "startsOn"), "a planned rule stays")
	require.Equal(t, changed.Body, n.Admin().Get(t, code).OK(t).Body)
}
