package e2e

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app"
	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/openapi"
)

// recording makes the example requests of the contract, with a frozen clock and sequential
// ids, so that each run has the same result.
type recording struct {
	t        *testing.T
	c        *harness.Clinic
	routes   map[string]httpx.Route
	examples map[string][]openapi.Example
	requests []string // actual ids, each followed by the shown one
	recorded []recordedCall
}

// recordedCall is one request of the story, and its answer.
type recordedCall struct {
	route   httpx.Route
	request string // its X-Request-Id
	status  int
	raw     []byte
}

// counted returns sequential ids in the form of UUIDv7.
func counted(start time.Time) func() uuid.UUID {
	n := uint64(0)
	return func() uuid.UUID {
		n++
		var id uuid.UUID
		binary.BigEndian.PutUint64(id[:], uint64(start.UnixMilli())<<16|0x7000)
		binary.BigEndian.PutUint64(id[8:], 0x8000000000000000|n)
		return id
	}
}

func recordExamples(t *testing.T) (map[string][]openapi.Example, *app.App) {
	t.Helper()
	s := newRecording(t)
	return s.examples, s.c.App
}

func newRecording(t *testing.T) *recording {
	t.Helper()
	now := app.RecordedAt
	database := dbtest.New(t)
	c := &harness.Clinic{
		Database: database, Clock: harness.FrozenClock(now), NewID: counted(now),
		Settings: []string{"OMNI_PUBLIC_URL=" + harness.PublicURL, "OMNI_FRONTEND_URL=" + harness.FrontendURL},
	}
	c.Start(t, database.Open(t))
	c.Own = c.AddPractice(t, "example")
	s := &recording{t: t, c: c, routes: map[string]httpx.Route{}, examples: map[string][]openapi.Example{}}
	for _, r := range c.App.Routes() {
		s.routes[r.Name] = r
	}
	s.recordAll()
	return s
}

// record makes a request and stores it with its answer as an example.
func (s *recording) record(as harness.Caller, operation, summary, path string, b harness.Body) harness.Answer {
	s.t.Helper()
	r, ok := s.routes[operation]
	require.True(s.t, ok, "there is no operation %s", operation)
	a := as.Send(s.t, r.Method, path, b)
	s.store(r, a)
	e := openapi.Example{
		Name: nameOf(summary), Summary: summary, Status: a.Status, Path: map[string]string{},
	}
	template, actual := strings.Split(r.Path, "/"), strings.Split(strings.Split(path, "?")[0], "/")
	require.Len(s.t, actual, len(template), "%s is not at %s", operation, path)
	for i, part := range template {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			e.Path[name] = actual[i]
		}
	}
	if b != nil {
		request, err := json.Marshal(asSent(operation, b))
		require.NoError(s.t, err)
		e.Request = request
	}
	if len(a.Raw) > 0 && strings.Contains(a.Header.Get("Content-Type"), "json") {
		e.Response = s.counted(asShown(s.t, operation, a))
	}
	s.examples[operation] = append(s.examples[operation], e)
	return a
}

// store stores a request.
func (s *recording) store(r httpx.Route, a harness.Answer) {
	s.recorded = append(s.recorded, recordedCall{r, a.RequestID(), a.Status, a.Raw})
	s.requests = append(s.requests, a.RequestID(), fmt.Sprintf("019caed9-4300-7000-9000-%012x", len(s.recorded)))
}

// counted replaces random request ids by sequential ones.
func (s *recording) counted(shown []byte) []byte {
	return []byte(strings.NewReplacer(s.requests...).Replace(string(shown)))
}

var notLetters = regexp.MustCompile(`[^a-z0-9]+`)

func nameOf(summary string) string {
	return strings.Trim(notLetters.ReplaceAllString(strings.ToLower(summary), "-"), "-")
}

var anyHash = regexp.MustCompile(`"hash":"[0-9a-f]{64}"`)

const sampleToken = "kUvWq0…"

const sampleCode = "492039"

const sampleHash = "5d1f0c2e7a4b9386f1d0a5c3e8b7264910fd3c5ba7e86421d9f0b3c5a7e18642"

// asSent removes values of a request that differ in each run.
func asSent(operation string, b harness.Body) harness.Body {
	b = maps.Clone(b)
	if b["refreshToken"] != nil {
		b["refreshToken"] = sampleRefresh
	}
	switch operation {
	case "setIdentityProvider":
		b["issuer"], b["clientSecret"] = "https://login.example.org", "…"
	case "acceptInvitation", "resetPassword":
		b["token"] = sampleToken
	case "confirmMySecondFactor", "renewMyRecoveryCodes", "turnMySecondFactorOff", "signIn":
		if b["code"] != nil {
			b["code"] = sampleCode
		}
	case "exchangeSignInCode":
		b["code"] = "AZdZ1x…"
	}
	return b
}

// asShown removes values of an answer that are secret, or long and uninteresting.
func asShown(t *testing.T, operation string, a harness.Answer) json.RawMessage {
	t.Helper()
	a.Body = maps.Clone(a.Body) // the body is used afterwards
	switch operation {
	case "signIn", "refreshSignIn", "exchangeSignInCode":
		if a.Body["accessToken"] != nil {
			a.Body["accessToken"] = "eyJhbGciOiJIUzI1NiIs…"
			a.Body["refreshToken"] = sampleRefresh
		}
		if a.Body["deviceToken"] != nil {
			a.Body["deviceToken"] = "omd_6sTHunG7U8n58…"
		}
	case "getIdentityProvider", "setIdentityProvider":
		a.Body["issuer"] = "https://login.example.org"
	case "inviteUser", "createPasswordReset":
		if a.Body["token"] != nil {
			a.Body["token"] = sampleToken
		}
		if a.Body["link"] != nil {
			a.Body["link"] = harness.FrontendURL + "#password-reset=" + sampleToken
		}
	case "createApiKey":
		if a.Body["key"] != nil {
			a.Body["key"], a.Body["begins"] = "omni_key_7Qx2…", "omni_key_7Qx2"
		}
	case "listApiKeys":
		for _, item := range a.Body["data"].([]any) {
			item.(map[string]any)["begins"] = "omni_key_7Qx2"
		}
	case "getApiKey":
		a.Body["begins"] = "omni_key_7Qx2"
	case "listPermissionSets":
		a.Body["possible"] = map[string]any{"patient:read": a.Body["possible"].(map[string]any)["patient:read"]}
		for _, item := range a.Body["data"].([]any) {
			set := item.(map[string]any)
			set["permissions"] = set["permissions"].([]any)[:1]
		}
	case "changeMyPassword":
		if a.Body["accessToken"] != nil {
			a.Body["accessToken"] = "eyJhbGciOiJIUzI1NiIs…"
		}
	case "beginMySecondFactor":
		if a.Body["secret"] != nil {
			a.Body["secret"] = "GEZDGNBVGY3TQOJQ…"
			a.Body["otpauth"] = "otpauth://totp/Omnirapeutic:biller@example.test?secret=GEZDGNBVGY3TQOJQ…" +
				"&issuer=Omnirapeutic&algorithm=SHA1&digits=6&period=30"
		}
	case "confirmMySecondFactor", "renewMyRecoveryCodes":
		if a.Body["recoveryCodes"] != nil {
			a.Body["recoveryCodes"] = []any{"WJ3QKD-7X2ANM-PLQ5RT-VHZC6B", "…"}
		}
		if a.Body["accessToken"] != nil {
			a.Body["accessToken"] = "eyJhbGciOiJIUzI1NiIs…"
		}
	case "createWebhook", "rotateWebhookSecret":
		a.Body["secret"] = "whsec_…"
	case "createPractitionerCalendarFeed", "createPatientCalendarFeed":
		a.Body["path"] = "/api/v1/calendars/kUvW….ics"
	case "getConfig":
		if all, ok := a.Body["settings"].([]any); ok {
			a.Body["settings"] = all[:1]
		}
	case "getRetryMetrics":
		if all, ok := a.Body["operations"].([]any); ok {
			a.Body["operations"] = all[:1]
		}
	// The hashes include request ids, which are random.
	case "verifyBooks", "listVerifications", "getVerification", "listAuditEvents":
		return anyHash.ReplaceAll(a.Raw, []byte(`"hash":"`+sampleHash+`"`))
	case "listEntries": // likewise, and each includes the previous one
		for n, item := range a.Body["data"].([]any) {
			entry := item.(map[string]any)
			entry["hash"] = sampleOf(n)
			if n > 0 {
				entry["previousHash"] = sampleOf(n - 1)
			}
		}
	default:
		if a.Body["nextCursor"] == nil {
			return a.Raw
		}
	}
	if a.Body["nextCursor"] != nil {
		a.Body["nextCursor"] = "Twhw4k2xzwGLL3WVckW0N-tVFTgZwWz_JptLJAk" // each differs
	}
	text, err := json.Marshal(a.Body)
	require.NoError(t, err)
	return text
}

// sampleOf returns the hash shown for the entry with the number.
func sampleOf(n int) string {
	sum := sha256.Sum256([]byte{byte(n)})
	return hex.EncodeToString(sum[:])
}

const sampleRefresh = "omr_3q2-7w8kD1cXb5Jm0aVfT9yRzLhQeNsUoPiGgCtK4Zs"

func (s *recording) recordAll() {
	c := s.c
	admin, scheduler := c.Admin(), c.As(c.Own.Tokens[rbac.Scheduler])
	s.record(c.As(""), "signIn", "Sign in", "/auth/login", harness.Body{
		"email": "SCHEDULER@example.test", "password": harness.Password,
	})
	s.record(c.As(""), "signIn", "A wrong password", "/auth/login",
		harness.Body{"email": "SCHEDULER@example.test", "password": "wrong"})
	s.record(scheduler, "whoAmI", "Who am I", "/auth/me", nil)

	s.recordUsers(admin)
	s.recordInvitations(admin)
	s.recordSets(admin)
	s.recordScopes(admin)
	s.recordDirectory(admin)
	s.recordClaimData(admin)
	s.recordAuthorizations(admin, scheduler)
	s.recordAppointments(admin, scheduler)
	s.recordBilling(admin)
	s.recordCalendars(admin, scheduler)
	s.recordEmergency(admin)
	s.recordReports(scheduler)
	s.record(admin, "getRetryMetrics", "Retries since the start", "/admin/retry-metrics", nil)
	s.record(admin, "doNothing", "Nothing", "/admin/no-op", harness.Body{"units": 4})
	s.record(admin, "getConfig", "The first setting", "/admin/config", nil)
	s.recordVerifications(admin)
	s.recordAudit(admin)
	s.recordEvents(admin)
	s.recordKeys(admin)
	s.recordProvider(admin)
	s.recordSecondFactor(admin)
	s.recordSignOut()
	s.recordAccounts()
}

// recordVerifications verifies the organization.
func (s *recording) recordVerifications(admin harness.Caller) {
	verified := s.record(admin, "verifyBooks", "The books agree", "/admin/verify", harness.Body{}).OK(s.t)
	hasty := withShortVerifyWait(s.t, s.c).Admin()
	release := s.c.LockTable(s.t, "audit_checkpoints")
	running := s.record(hasty, "verifyBooks", "It takes longer", "/admin/verify", harness.Body{})
	require.Equal(s.t, http.StatusAccepted, running.Status, "%s", running.Raw)
	release()
	admin.AwaitState(s.t, "/admin/verifications/"+running.Text("id"), "FINISHED")
	s.record(admin, "listVerifications", "The newest first", "/admin/verifications", nil)
	s.record(admin, "getVerification", "It has finished", "/admin/verifications/"+verified.Text("id"), nil)
}

// accessToken returns the access token of an answer whose example does not show it.
func accessToken(t *testing.T, a harness.Answer) string {
	t.Helper()
	var reported struct{ AccessToken string }
	require.NoError(t, json.Unmarshal(a.Raw, &reported))
	return reported.AccessToken
}

// recordSignOut is the auditor's last request.
func (s *recording) recordSignOut() {
	auditor := s.c.As(s.c.Own.Tokens[rbac.Auditor])
	login := harness.Body{"email": "AUDITOR@example.test", "password": harness.Password}
	first := s.c.As("").Post(s.t, "/auth/login", login).OK(s.t)
	refreshed := s.record(s.c.As(""), "refreshSignIn", "Go on", "/auth/refresh",
		harness.Body{"refreshToken": first.Text("refreshToken")}).OK(s.t)
	s.record(s.c.As(""), "refreshSignIn", "An invalid access token", "/auth/refresh",
		harness.Body{"refreshToken": "omr_nobody-has-issued-this"})
	here := s.c.As(accessToken(s.t, refreshed))
	exists := s.c.As("").Post(s.t, "/auth/login", login).OK(s.t)
	sessions := s.record(here, "listMySessions", "On three devices", "/auth/sessions", nil).OK(s.t).Body["data"].([]any)
	s.record(here, "endMySession", "The newest one", "/auth/sessions/"+sessions[0].(map[string]any)["id"].(string), nil)
	s.c.As(exists.Text("accessToken")).Get(s.t, "/auth/me").Refused(s.t, http.StatusUnauthorized, "unauthenticated")
	const another = "a-meadow-of-red-clover"
	s.record(here, "changeMyPassword", "A wrong current password", "/auth/password",
		harness.Body{"currentPassword": "wrong", "newPassword": another})
	changed := s.record(here, "changeMyPassword", "Another one", "/auth/password",
		harness.Body{"currentPassword": harness.Password, "newPassword": another}).OK(s.t)
	here.Get(s.t, "/auth/me").Refused(s.t, http.StatusUnauthorized, "unauthenticated")
	here = s.c.As(accessToken(s.t, changed))
	s.record(here, "signOut", "On this device", "/auth/logout", nil)
	auditor.Get(s.t, "/auth/me").Refused(s.t, http.StatusUnauthorized, "unauthenticated")
	again := s.c.As(s.c.As("").Post(s.t, "/auth/login", harness.Body{"email": login["email"], "password": another}).
		OK(s.t).
		Text("accessToken"))
	s.record(again, "signOutEverywhere", "On every device", "/auth/logout-everywhere", nil)
	again.Get(s.t, "/auth/me").Refused(s.t, http.StatusUnauthorized, "unauthenticated")
}

// recordProvider has the scheduler sign in with an identity provider.
func (s *recording) recordProvider(admin harness.Caller) {
	c := s.c
	p := openidtest.Start(s.t, harness.RedirectURI,
		openidtest.Person{Subject: "s-1", Email: "scheduler@example.test", Verified: true},
		openidtest.Person{Subject: "b-1", Email: "biller@example.test", Verified: true},
		openidtest.Person{Subject: "a-1", Email: "auditor@example.test", Verified: true})
	s.record(admin, "setIdentityProvider", "An organization with a provider", harness.ProviderPath,
		harness.Body{"issuer": p.Issuer, "clientId": openidtest.ClientID, "clientSecret": openidtest.ClientSecret})
	s.record(admin, "getIdentityProvider", "The provider", harness.ProviderPath, nil)
	start := "/auth/oidc/" + c.Own.ID.String() + "/start"
	s.record(c.As(""), "startProviderSignIn", "Redirect to the provider",
		start+"?challenge="+harness.Challenge(harness.Verifier), nil)
	j := c.BeginProviderSignIn(s.t)
	back := p.SignIn(s.t, j.ProviderURL, "s-1")
	returned := s.record(c.As("").WithHeader("Cookie", j.Cookie.Name+"="+j.Cookie.Value), "finishProviderSignIn",
		"Return from the provider", "/auth/oidc/callback?"+back.RawQuery, nil)
	code := harness.SignInCode(s.t, returned)
	exchange := harness.Body{"code": code, "verifier": harness.Verifier}
	s.record(c.As(""), "exchangeSignInCode", "The first sign-in needs the owner's confirmation", "/auth/oidc/token",
		exchange)
	exchange["password"] = harness.Password
	s.record(c.As(""), "exchangeSignInCode", "The owner confirms with the password", "/auth/oidc/token", exchange)
	s.recordProviderLinks(admin, p)
	s.record(admin, "removeIdentityProvider", "Passwords will do", harness.ProviderPath, nil)
}

// recordProviderLinks has two more accounts sign in through the provider for the first time: a second
// administrator confirms one and declines the other.
func (s *recording) recordProviderLinks(admin harness.Caller, p *openidtest.Provider) {
	c := s.c
	harness.SignInCode(s.t, c.SignInWithProvider(s.t, p, "b-1"))
	s.record(admin, "listLinkRequests", "Open link requests", harness.LinkRequestsPath, nil)
	biller := harness.LinkRequestsPath + "/" + c.LinkRequest(s.t, admin, "b-1")
	s.record(admin, "confirmLinkRequest", "The administrator who set up the provider cannot confirm", biller+"/confirm",
		nil)
	c.AddUser(s.t, c.Own, "second@example.test", rbac.Admin)
	second := c.SignInByEmail(s.t, "second@example.test")
	s.record(second, "confirmLinkRequest", "Another administrator confirms", biller+"/confirm", nil)
	harness.SignInCode(s.t, c.SignInWithProvider(s.t, p, "a-1"))
	s.record(second, "declineLinkRequest", "The owner does not know about this sign-in",
		harness.LinkRequestsPath+"/"+c.LinkRequest(s.t, second, "a-1"), nil)
	s.record(second, "unlinkUser", "The link was a mistake", c.UserWithRole(s.t, second, rbac.Biller)+"/provider-link",
		nil)
}

func (s *recording) recordKeys(admin harness.Caller) {
	result := s.record(admin, "createApiKey", "For the billing system", "/api-keys", harness.Body{
		"name":        "Billing system",
		"permissions": []string{"authorization:read", "session:read"},
		"expiresAt":   "2027-03-02T00:00:00Z",
	})
	s.record(admin, "createApiKey", "A permission for users only", "/api-keys",
		harness.Body{"name": "Invitations", "permissions": []string{"user:invite"}})
	key := "/api-keys/" + result.Created(s.t).String()
	s.record(admin, "listApiKeys", "All keys", "/api-keys", nil)
	s.record(s.c.As(result.Text("key")), "whoAmI", "An API key is not a user", "/auth/me", nil)
	s.record(admin, "revokeApiKey", "The key was leaked", key, nil)
	s.record(admin, "getApiKey", "It was revoked", key, nil)
}

// recordUsers changes a user's work.
func (s *recording) recordUsers(admin harness.Caller) {
	s.record(admin, "listUsers", "Technicians", "/users?role=TECHNICIAN", nil)
	technician := s.c.UserWithRole(s.t, admin, rbac.Technician)
	s.record(admin, "getUser", "A user", technician, nil)
	s.record(admin, "changeUser", "A new name", technician, harness.Body{"name": "Jordan Lee"})
	s.record(admin, "setUserRoles", "Two roles", technician+"/roles", harness.Body{
		"roles": []string{"TECHNICIAN", "SCHEDULER"},
	})
	s.record(admin, "setUserRoles", "More permissions than the caller's", technician+"/roles",
		harness.Body{"roles": []string{"SUPER_ADMIN"}})
	s.record(admin, "changeUser", "The last administrator", s.c.UserWithRole(s.t, admin, rbac.Admin),
		harness.Body{"disabled": true})
	s.record(admin, "unlockUser", "After too many wrong passwords", technician+"/unlock", nil)
	s.c.Own.Tokens[rbac.Technician] = s.c.SignIn(s.t, "example", rbac.Technician)
}

// recordRefusedAddress has the mail server refuse an address, and the administrator clear it.
func (s *recording) recordRefusedAddress(admin harness.Caller) {
	id := s.c.NewID()
	s.c.Exec(s.t, `INSERT INTO refused_addresses (organization_id, id, address, kind, reply, refused_at)
		VALUES ($1, $2, 'typo@example.test', 'invitation', '550 5.1.1', $3)`, s.c.Own.ID, id, s.c.Clock.Now())
	s.record(admin, "getMailSettings", "The defaults", "/mail/settings", nil)
	s.record(admin, "setMailSettings", "Mail in Spanish", "/mail/settings",
		harness.Body{"language": "es", "namesPractice": false})
	s.record(admin, "setMyMailPreferences", "Alerts every morning, in English", "/auth/me/mail",
		harness.Body{"language": "en", "alertDigest": true, "appointmentReminders": false})
	s.record(admin, "getMyMailPreferences", "The chosen mail", "/auth/me/mail", nil)
	s.record(admin, "listRefusedAddresses", "A mistyped address", "/mail/refused-addresses", nil)
	s.record(admin, "clearRefusedAddress", "The mailbox exists now", "/mail/refused-addresses/"+id.String(), nil)
	s.record(admin, "clearRefusedAddress", "It was cleared before", "/mail/refused-addresses/"+id.String(), nil)
}

// recordInvitations has one invitation accepted and another one declined.
func (s *recording) recordInvitations(admin harness.Caller) {
	result := s.record(admin, "inviteUser", "A behavior analyst", "/users/invitations",
		harness.Body{"email": "rosa@example.test", "name": "Rosa Marin", "roles": []string{"PRACTITIONER"}})
	s.record(admin, "inviteUser", "More permissions than the caller's", "/users/invitations",
		harness.Body{"email": "root@example.test", "name": "Root", "roles": []string{"SUPER_ADMIN"}})
	s.record(admin, "inviteUser", "The user exists already", "/users/invitations",
		harness.Body{"email": "BILLER@example.test", "name": "Bo", "roles": []string{"BILLER"}})
	accept := harness.Body{"token": result.Text("token"), "password": "an allotment at dusk"}
	s.record(s.c.As(""), "acceptInvitation", "Accept with a new password", "/auth/invitations/accept", accept)
	s.record(s.c.As(""), "acceptInvitation", "A used token", "/auth/invitations/accept", accept)
	other := admin.Post(s.t, "/users/invitations",
		harness.Body{"email": "typo@example.test", "name": "Rosa Marin", "roles": []string{"PRACTITIONER"}}).Created(s.t)
	s.record(admin, "revokeInvitation", "It was sent to the wrong address", "/users/invitations/"+other.String(), nil)
	s.record(admin, "revokeInvitation", "It was accepted", "/users/invitations/"+result.Text("id"), nil)
	s.record(admin, "listInvitations", "All invitations", "/users/invitations", nil)
	s.recordRefusedAddress(admin)
}

// recordSets narrows the permissions of a role, and widens them again.
func (s *recording) recordSets(admin harness.Caller) {
	s.record(admin, "changePermissionSet", "Families see appointments only", "/permission-sets/PATIENT",
		harness.Body{"permissions": []any{
			harness.Body{"permission": "appointment:read", "scopes": []string{"CHILD"}},
		}})
	s.record(admin, "changePermissionSet", "Administrators would lock themselves out", "/permission-sets/ADMIN",
		harness.Body{"permissions": []any{
			harness.Body{"permission": "user:read", "scopes": []string{"ORGANIZATION"}},
		}})
	s.record(admin, "listPermissionSets", "The permissions of each role", "/permission-sets", nil)
	s.record(admin, "restorePermissionSet", "Restore the defaults", "/permission-sets/PATIENT", nil)
}

// recordScopes links users to records.
func (s *recording) recordScopes(admin harness.Caller) {
	c := s.c
	practitioner := c.AddPractitioner(s.t, "RBT")
	caseload := "/practitioners/" + practitioner.String() + "/caseload"
	s.record(admin, "assignPatient", "A patient", caseload, harness.Body{"patientId": c.Own.Patient})
	s.record(admin, "getCaseload", "A technician's", caseload, nil)
	s.record(admin, "unassignPatient", "Another user takes over", caseload+"/"+c.Own.Patient.String(), nil)
	family := c.UserWithRole(s.t, admin, rbac.Patient) + "/patients"
	s.record(admin, "addUserPatient", "A guardian", family, harness.Body{
		"patientId": c.Own.Patient, "relation": "GUARDIAN",
	})
	s.record(admin, "listUserPatients", "The patients of a guardian", family, nil)
	s.record(admin, "removeUserPatient", "The patient is of age", family+"/"+c.Own.Patient.String(), nil)
}

func (s *recording) recordDirectory(admin harness.Caller) {
	id := func(a harness.Answer) string { return a.Created(s.t).String() }
	root := s.c.As(s.c.Own.Tokens[rbac.SuperAdmin])
	organization := "/organizations/" + s.c.Own.ID.String()
	harbor := "/organizations/" + id(s.record(root, "createOrganization", "A new practice", "/organizations",
		harness.Body{"name": "Harbor ABA", "timeZone": "America/Chicago"}))
	s.record(root, "switchOrganization", "A practice that has left", harbor+"/disabled", harness.Body{"disabled": true})
	s.record(root, "switchOrganization", "One's own", organization+"/disabled", harness.Body{"disabled": true})
	s.record(admin, "listOrganizations", "One's own", "/organizations", nil)
	s.record(admin, "getOrganization", "One's own", organization, nil)
	s.record(admin, "changeOrganization", "A better name, and late from two days before", organization,
		harness.Body{"name": "Example ABA", "lateCancelHours": 48})

	patient := "/patients/" + id(s.record(admin, "createPatient", "A patient", "/patients", harness.Body{
		"firstName": "Maya", "lastName": "Rivera", "dateOfBirth": "2020-06-14", "medicalRecordNumber": "MR-1007",
	}))
	s.record(admin, "createPatient", "The number is another patient's", "/patients", harness.Body{
		"firstName": "Noah", "lastName": "Chen", "dateOfBirth": "2019-02-03", "medicalRecordNumber": "MR-1007",
	})
	s.record(admin, "createPatient", "Several invalid fields", "/patients",
		harness.Body{"firstName": "", "dateOfBirth": "14.06.2020", "nickname": "M"})
	s.record(admin, "listPatients", "The first two", "/patients?limit=2", nil)
	s.record(admin, "searchPatients", "By the beginning of the name", "/patients/search", harness.Body{"lastName": "riv"})
	s.record(admin, "getPatient", "A patient", patient, nil)
	s.record(admin, "changePatient", "Clear the number", patient, harness.Body{"medicalRecordNumber": nil})

	practitioner := "/practitioners/" + id(s.record(admin, "createPractitioner", "A technician", "/practitioners",
		harness.Body{
			"firstName": "Jordan", "lastName": "Lee", "npi": "1234567893",
			"credentials": []any{harness.Body{"code": "RBT", "expiresOn": "2027-05-31"}},
		}))
	s.record(admin, "listPractitioners", "All practitioners", "/practitioners?status=ACTIVE", nil)
	s.record(admin, "getPractitioner", "A practitioner", practitioner, nil)
	s.record(admin, "changePractitioner", "A second credential", practitioner, harness.Body{
		"credentials": []any{"BCBA", "RBT"},
	})

	payer := id(s.record(admin, "createPayer", "A payer", "/payers",
		harness.Body{"name": "State Medicaid", "rounding": "MIDPOINT", "weekStartsOn": "MONDAY"}))
	s.record(admin, "listPayers", "All payers", "/payers", nil)
	s.record(admin, "getPayer", "A payer", "/payers/"+payer, nil)
	s.record(admin, "changePayer", "Another rounding rule from a day on", "/payers/"+payer,
		harness.Body{"rounding": "CEIL", "roundingFrom": "2027-01-01"})

	insurance := "/insurances/" + id(s.record(admin, "createInsurance", "A coverage", "/insurances", harness.Body{
		"patientId":    strings.TrimPrefix(patient, "/patients/"),
		"payerId":      payer,
		"memberNumber": "M-55821",
		"startsOn":     "2026-01-01",
	}))
	s.record(admin, "listInsurances", "Insurances of a patient",
		"/insurances?patientId="+strings.TrimPrefix(patient, "/patients/"), nil)
	s.record(admin, "getInsurance", "A coverage", insurance, nil)
	s.record(admin, "changeInsurance", "It ends", insurance, harness.Body{"endsOn": "2026-12-31"})

	code := "/service-codes/" + id(s.record(admin, "createServiceCode", "A service code", "/service-codes", harness.Body{
		"code": "97155", "description": "Protocol modification", "unitMinutes": 15, "requiredCredentials": []string{"BCBA"},
	}))
	s.record(admin, "listServiceCodes", "One by its code", "/service-codes?code=97155", nil)
	s.record(admin, "getServiceCode", "A service code", code, nil)
	s.record(admin, "changeServiceCode", "No longer in use", code, harness.Body{"active": false})
	location := "/locations/" + id(s.record(admin, "createLocation", "A clinic in another time zone", "/locations",
		harness.Body{
			"name": "West Clinic", "kind": "CLINIC", "timeZone": "America/Los_Angeles",
			"address": harness.Body{
				"line1": "1 Pier Ave", "city": "Los Angeles", "state": "CA", "zip": "90001-1234",
			},
			"coordinates": harness.Body{"latitude": 33.97, "longitude": -118.25},
		}))
	s.record(admin, "listLocations", "Clinics", "/locations?kind=CLINIC", nil)
	s.record(admin, "getLocation", "A location", location, nil)
	s.record(admin, "changeLocation", "No longer in use", location, harness.Body{"active": false})
	reason := "/cancellation-reasons/" + id(s.record(admin, "createCancellationReason", "A reason",
		"/cancellation-reasons", harness.Body{"code": "SCHOOL", "name": "School holiday", "party": "FAMILY"}))
	s.record(admin, "listCancellationReasons", "Reasons of practitioners", "/cancellation-reasons?party=STAFF&sort=code",
		nil)
	s.record(admin, "getCancellationReason", "A reason", reason, nil)
	s.record(admin, "changeCancellationReason", "No longer in use", reason, harness.Body{"active": false})
	s.record(admin, "getPlacesOfService", "The codes of a day", "/places-of-service?on=2026-03-02", nil)
	s.record(admin, "getServicePairs", "The defaults of a new practice", "/service-pairs", nil)
	s.record(admin, "replaceServicePairs", "Family guidance during treatment", "/service-pairs",
		harness.Body{"pairs": []any{
			harness.Body{"code": "97153", "otherCode": "97155"}, harness.Body{"code": "97153", "otherCode": "97156"},
		}})
}

// recordClaimData enters the data that claims need.
func (s *recording) recordClaimData(admin harness.Caller) {
	c := s.c
	s.record(admin, "setBillingIdentity", "All values", "/billing-identity", billingIdentity())
	s.record(admin, "getBillingIdentity", "All values", "/billing-identity", nil)
	diagnosis := "/diagnoses/" + s.record(admin, "createDiagnosis", "The principal diagnosis", "/diagnoses",
		harness.Body{"patientId": c.Own.Patient, "code": "F84.0", "startsOn": "2024-01-01"}).Created(s.t).String()
	s.record(admin, "listDiagnoses", "The diagnoses of a patient", "/diagnoses?patientId="+c.Own.Patient.String(), nil)
	s.record(admin, "getDiagnosis", "A diagnosis", diagnosis, nil)
	s.record(admin, "changeDiagnosis", "It ended", diagnosis, harness.Body{"endsOn": "2026-12-31"})
	payer := admin.Post(s.t, "/payers", harness.Body{"name": "Example Health", "payerCode": "60054"}).Created(s.t)
	rate := "/rates/" + s.record(admin, "createRate", "The price of a unit", "/rates", harness.Body{
		"payerId": payer, "serviceCodeId": c.Own.ServiceCode, "startsOn": "2026-01-01", "centsPerUnit": 1575,
	}).Created(s.t).String()
	s.record(admin, "listRates", "The rates of a payer", "/rates?payerId="+payer.String(), nil)
	s.record(admin, "getRate", "A rate", rate, nil)
	s.record(admin, "changeRate", "A typing error", rate, harness.Body{"centsPerUnit": 1557})
}

func (s *recording) recordAuthorizations(admin, scheduler harness.Caller) {
	c := s.c
	result := s.record(admin, "createAuthorization", "Half a year", "/authorizations", harness.Body{
		"patientId": c.Own.Patient, "serviceCodeId": c.Own.ServiceCode, "authNumber": "AUTH-4711",
		"totalUnits": 20, "startDate": "2026-01-15", "endDate": "2026-07-14",
		"caps": []any{harness.Body{"period": "WEEK", "units": 12}},
	}).Created(s.t)
	path := "/authorizations/" + result.String()
	s.record(scheduler, "listAuthorizations", "Authorizations with available units",
		"/authorizations?status=ACTIVE&limit=5", nil)
	s.record(scheduler, "getAuthorization", "An authorization", path, nil)
	s.record(scheduler, "getAuthorization", "An unknown id", "/authorizations/"+uuid.Nil.String(), nil)
	s.record(admin, "changeAuthorization", "The payer grants more", path,
		harness.Body{"totalUnits": 24, "reason": "Letter of 1 March"})

	keyed := scheduler.WithHeader("Idempotency-Key", "9d1f5a4e-visit-12")
	reservation := s.record(keyed, "reserveUnits", "One hour", path+"/reserve",
		harness.Body{"units": 4, "reference": "visit 12", "serviceDate": "2026-03-05"}).ReservationID(s.t)
	s.record(scheduler, "reserveUnits", "More than available", path+"/reserve", harness.Body{"units": 21})
	s.record(scheduler, "reserveUnits", "A hold of ten minutes", path+"/reserve", harness.Body{
		"units": 2, "expiresInSeconds": 600,
	})
	s.record(scheduler, "previewOperation", "Would it go?", path+"/preview", harness.Body{
		"operation": "reserve", "units": 30,
	})
	s.record(scheduler, "getBalance", "The balance", path+"/available-units", nil)
	s.record(admin, "consumeUnits", "Three of four units were used", path+"/consume",
		harness.Body{"reservationId": reservation, "units": 3})
	s.record(admin, "consumeUnits", "It was settled before", path+"/consume", harness.Body{"reservationId": reservation})
	s.record(scheduler, "releaseUnits", "The hold is not needed", path+"/release", harness.Body{"units": 2})
	s.record(scheduler, "listReservations", "All reservations", path+"/reservations", nil)
	s.record(scheduler, "listEntries", "The first two entries", path+"/entries?limit=2", nil)

	s.record(admin.WithHeader("Idempotency-Key",
		"week-10"), "bulkOperations", "Two visits of next week", "/units/bulk", harness.Body{"operations": []any{
		harness.Body{
			"operation":       "reserve",
			"authorizationId": result,
			"units":           4,
			"serviceDate":     "2026-03-09",
			"reference":       "visit 13",
		},
		harness.Body{
			"operation":       "reserve",
			"authorizationId": result,
			"units":           40,
			"serviceDate":     "2026-03-11",
			"reference":       "visit 14",
		},
	}})

	spare := s.c.Admin().Post(s.t, "/authorizations", harness.Body{
		"patientId":     c.Own.Patient,
		"serviceCodeId": c.Own.ServiceCode,
		"totalUnits":    8,
		"startDate":     "2026-01-15",
		"endDate":       "2026-07-14",
	}).Created(s.t)
	s.record(admin, "deleteAuthorization", "It was entered by mistake", "/authorizations/"+spare.String(), nil)
	s.record(admin, "deleteAuthorization", "It was used", path, nil)
	require.Equal(s.t, http.MethodDelete, s.routes["deleteAuthorization"].Method)
}

// recordAppointments books a week and completes it.
func (s *recording) recordAppointments(admin, scheduler harness.Caller) {
	c := s.c
	authorization := admin.Post(s.t, "/authorizations", harness.Body{
		"patientId": c.Own.Patient, "serviceCodeId": c.Own.ServiceCode, "authNumber": "AUTH-4712",
		"totalUnits": 24, "startDate": "2026-01-15", "endDate": "2026-07-14",
	}).Created(s.t)
	practitioner := c.AddPractitioner(s.t, "RBT")
	booking := func(start, end string) harness.Body {
		return harness.Body{
			"patientId":       c.Own.Patient,
			"practitionerId":  practitioner,
			"serviceCodeId":   c.Own.ServiceCode,
			"authorizationId": authorization,
			"startTime":       start,
			"endTime":         end,
		}
	}
	book := func(summary, start, end string) string {
		return "/appointments/" +
			s.record(scheduler, "bookAppointment", summary, "/appointments", booking(start, end)).Created(s.t).String()
	}
	first := book("One hour", "2026-03-05T20:00:00Z", "2026-03-05T21:00:00Z")
	past := book("A past appointment, from paper", "2026-02-27T20:00:00Z", "2026-02-27T21:00:00Z")
	s.record(scheduler, "bookAppointment", "It breaks three rules", "/appointments",
		booking("2026-03-05T20:30:00Z", "2026-03-06T02:00:00Z"))
	s.record(scheduler, "listAppointments", "A practitioner's week",
		"/appointments?practitionerId="+practitioner.String()+"&from=2026-03-02&to=2026-03-08", nil)
	s.record(scheduler, "getAppointment", "An appointment", first, nil)
	s.record(scheduler, "changeAppointment", "An hour later, and longer", first,
		harness.Body{"startTime": "2026-03-05T21:00:00Z", "endTime": "2026-03-05T22:30:00Z"})
	c.LinkUsers(s.t, c.Own, practitioner, c.Own.Patient)
	technician := c.As(c.Own.Tokens[rbac.Technician])
	today := c.Book(s.t, booking("2026-03-02T14:15:00Z", "2026-03-02T15:15:00Z"))
	s.record(technician, "startAppointment", "It begins", today+"/start",
		harness.Body{"coordinates": harness.Body{"latitude": 40.71, "longitude": -74.01}})
	s.record(technician, "clockOut", "The practitioner leaves", today+"/clock-out", harness.Body{})
	s.record(technician, "reopenAppointment", "The wrong appointment", today+"/reopen",
		harness.Body{"reason": "The family is not here yet."})
	s.record(technician, "startAppointment", "It began a quarter of an hour ago", today+"/start",
		harness.Body{"startTime": "2026-03-02T13:45:00Z"})
	s.record(technician, "completeAppointment", "Completed at once, without times", today+"/complete",
		harness.Body{"endTime": "2026-03-02T13:46:00Z"})
	scheduler.Post(s.t, today+"/cancel", harness.Body{}).OK(s.t)
	done := s.record(technician.WithHeader("Idempotency-Key", "session-27-feb"), "completeAppointment",
		"A quarter of an hour longer", past+"/complete", harness.Body{
			"startTime": "2026-02-27T20:00:00Z", "endTime": "2026-02-27T21:15:00Z", "narrative": "Two new mands.",
		})
	s.record(technician, "completeAppointment", "It was completed before", past+"/complete", harness.Body{})
	renewed := "/authorizations/" + admin.Post(s.t, "/authorizations", harness.Body{
		"patientId": c.Own.Patient, "serviceCodeId": c.Own.ServiceCode, "authNumber": "AUTH-4802",
		"totalUnits": 24, "startDate": "2026-03-05", "endDate": "2026-09-04",
	}).Created(s.t).String()
	old := "/authorizations/" + authorization.String()
	s.record(admin, "previewAuthorizationChange", "Appointments outside a shorter authorization", old+"/impact",
		harness.Body{"endDate": "2026-03-04"})
	s.record(admin, "changeAuthorization", "A booking would be stranded", old, harness.Body{"endDate": "2026-03-04"})
	s.record(admin, "changeAuthorization", "The cancelled authorization has bookings", old,
		harness.Body{"status": "CANCELLED"})
	s.record(scheduler, "previewMoveBookings", "Preview of a renewal", old+"/move-bookings/preview",
		harness.Body{"toAuthorizationId": harness.IDOf(renewed)})
	short := admin.Post(s.t, "/authorizations", harness.Body{
		"patientId":     c.Own.Patient,
		"serviceCodeId": c.Own.ServiceCode,
		"totalUnits":    2,
		"startDate":     "2026-03-05",
		"endDate":       "2026-09-04",
	}).Created(s.t)
	s.record(scheduler, "moveBookings", "Too few units", old+"/move-bookings",
		harness.Body{"toAuthorizationId": short, "from": "2026-03-05"})
	s.record(scheduler, "moveBookings", "A renewal", old+"/move-bookings",
		harness.Body{"toAuthorizationId": harness.IDOf(renewed), "from": "2026-03-05"})
	s.record(scheduler, "cancelAppointment", "The family is away", first+"/cancel", harness.Body{
		"reason": "The family is away.", "party": "FAMILY",
	})
	makeUp := booking("2026-03-06T20:00:00Z", "2026-03-06T21:00:00Z")
	makeUp["makeUpFor"] = harness.IDOf(first)
	s.record(scheduler, "bookAppointment", "An hour of a cancelled appointment is made up", "/appointments", makeUp)
	s.record(scheduler, "getAppointment", "A cancelled appointment with a make-up", first, nil)
	s.record(admin, "reportCancellations", "By party", "/reports/cancellations?groupBy=party&to=2026-03-31", nil)
	missed := c.Book(s.t, booking("2026-02-26T20:00:00Z", "2026-02-26T21:00:00Z"))
	s.record(technician, "noShowAppointment", "No-show", missed+"/no-show",
		harness.Body{"reason": "The family did not open the door."})

	session := "/sessions/" + done.Body["session"].(map[string]any)["id"].(string)
	s.record(admin, "listSessions", "The exceptions list", "/sessions?unauthorized=true", nil)
	s.record(admin, "exportVisits", "Visits of a patient", "/reports/visits?patientId="+c.Own.Patient.String(), nil)
	s.record(technician, "getSession", "A session", session, nil)
	s.recordNotes(admin, technician, session)
	s.record(admin, "addAddendum", "An addendum", session+"/addenda",
		harness.Body{"text": "The mother was there for the last half hour."})
	extended := "/authorizations/" + admin.Post(s.t, "/authorizations", harness.Body{
		"patientId": c.Own.Patient, "serviceCodeId": c.Own.ServiceCode, "totalUnits": 2,
		"startDate": "2026-01-15", "endDate": "2026-07-14",
	}).Created(s.t).String()
	longer := booking("2026-02-25T20:00:00Z", "2026-02-25T20:30:00Z")
	longer["authorizationId"] = harness.IDOf(extended)
	unauthorized := completed(s.t, c, c.Book(s.t, longer), harness.Body{"endTime": "2026-02-25T21:00:00Z"})
	admin.Patch(s.t, extended, harness.Body{"totalUnits": 4}).OK(s.t)
	s.record(admin, "correctSession", "A session whose units are authorized now", "/sessions/"+unauthorized+"/correct",
		harness.Body{"reason": "The payer has granted more units."})
	correction := harness.Body{"endTime": "2026-02-27T20:45:00Z", "reason": "The technician left at 15:45."}
	s.record(admin, "correctSession", "A session that ended earlier", session+"/correct", correction)
	s.record(admin, "previewCorrection", "A session that began later", session+"/correct/preview",
		harness.Body{"confirm": true})
	s.record(admin, "voidSession", "A session that did not take place", session+"/void",
		harness.Body{"appointment": "CANCELLED", "reason": "It was recorded for the wrong family."})
	s.record(admin, "listSessionVersions", "The versions of a session", session+"/versions", nil)
	s.record(admin, "voidSession", "It was voided before", session+"/void",
		harness.Body{"appointment": "CANCELLED", "reason": "It was recorded for the wrong family."})
}

// recordNotes writes and signs the note of a session.
func (s *recording) recordNotes(admin, technician harness.Caller, session string) {
	s.record(admin, "changeServiceCode", "Notes are required", "/service-codes/"+s.c.Own.ServiceCode.String(), harness.Body{
		"note": harness.Body{
			"sections": []any{"plan"}, "signers": []any{"TECHNICIAN", "CAREGIVER"}, "dueHours": 48, "startsOn": "2026-02-26",
		},
	})
	s.record(admin, "countConflicts", "Sessions that cannot be billed", "/sessions/conflicts?from=2026-02-01", nil)
	s.record(technician.WithHeader("Idempotency-Key", "note-27-feb"), "writeNote", "A draft", session+"/note", harness.Body{
		"narrative": "Two new mands: juice, ball.",
	})
	draft := s.record(technician, "getNote", "A draft", session+"/note", nil)
	s.record(technician, "signSession", "The plan is missing", session+"/signatures",
		harness.Body{"role": "TECHNICIAN", "textHash": draft.Text("textHash")})
	written := s.record(technician, "writeNote", "With a plan", session+"/note", harness.Body{
		"narrative": "Two new mands: juice, ball.", "sections": harness.Body{"plan": "Mands for toys."},
	})
	s.record(technician, "signSession", "The technician signs", session+"/signatures",
		harness.Body{"role": "TECHNICIAN", "textHash": written.Text("textHash")})
	s.record(technician, "signSession", "The mother signs", session+"/signatures", harness.Body{
		"role": "CAREGIVER", "textHash": written.Text("textHash"), "name": "Ana Rivera", "mark": "Ana Rivera",
	})
	s.record(technician, "writeNote", "The note is signed", session+"/note", harness.Body{"narrative": "Three new mands."})
	s.record(admin, "listSignatures", "The signatures as evidence", session+"/signatures", nil)
	s.record(admin, "listSessions", "Sessions without a note", "/sessions?conflict=missing-note&sort=startTime", nil)
}

// recordEmergency has a technician read outside the caseload under an emergency access
// grant, and a reviewer.
func (s *recording) recordEmergency(admin harness.Caller) {
	c := s.c
	technician := c.As(c.Own.Tokens[rbac.Technician])
	stranger := admin.Post(s.t, "/patients", harness.Body{
		"firstName": "Bo", "lastName": "Example", "dateOfBirth": "2018-02-03",
	}).
		Created(s.t)
	grant := s.record(technician, "takeEmergencyGrant", "A colleague is ill", "/emergency-grants", harness.Body{
		"patientId":       stranger,
		"reason":          "The session is about to begin and the assigned technician is ill.",
		"durationMinutes": 120,
	})
	path := "/emergency-grants/" + grant.Created(s.t).String()
	s.record(technician.WithHeader("Break-Glass", harness.IDOf(path)), "getPatient", "Under an emergency access grant",
		"/patients/"+stranger.String(), nil)
	s.record(technician, "revokeEmergencyGrant", "No longer needed", path+"/revoke", harness.Body{})
	s.record(admin, "listEmergencyGrants", "The worklist of reviewers", "/emergency-grants?reviewed=false", nil)
	s.record(admin, "reviewEmergencyGrant", "It was justified", path+"/review",
		harness.Body{"justified": true, "note": "The family confirms it."})
	s.record(admin, "getEmergencyGrant", "A reviewed grant", path, nil)
}

// recordCalendars has a series, hours and openings, and links for calendar programs.
func (s *recording) recordCalendars(admin, scheduler harness.Caller) {
	c := s.c
	authorization := admin.Post(s.t, "/authorizations", harness.Body{
		"patientId": c.Own.Patient, "serviceCodeId": c.Own.ServiceCode, "authNumber": "AUTH-4713",
		"totalUnits": 24, "startDate": "2026-01-15", "endDate": "2026-07-14",
	}).Created(s.t)
	practitioner := c.AddPractitioner(s.t, "RBT")
	booking := harness.Body{
		"patientId":       c.Own.Patient,
		"practitionerId":  practitioner,
		"serviceCodeId":   c.Own.ServiceCode,
		"authorizationId": authorization,
		"startTime":       "2026-03-03T20:00:00Z",
		"endTime":         "2026-03-03T21:00:00Z",
		"recurrenceRule":  "FREQ=WEEKLY;COUNT=3",
	}
	s.record(scheduler, "previewAppointment", "Preview of a series", "/appointments/preview", booking)
	weekly := s.record(scheduler, "bookAppointment", "A series, at the same time of day when clocks change",
		"/appointments", booking).Created(s.t)
	s.record(scheduler, "previewChangeWeekdays", "From Tuesday to Wednesday",
		"/appointments/"+weekly.String()+"/change-weekdays/preview", harness.Body{"weekdays": []any{
			harness.Body{"from": "TUESDAY", "to": "WEDNESDAY"},
		}})
	s.record(scheduler, "previewChangeWeekdays", "From Tuesday to Wednesday, and on Fridays too",
		"/appointments/"+weekly.String()+"/change-weekdays/preview", harness.Body{"weekdays": []any{
			harness.Body{"from": "TUESDAY", "to": "WEDNESDAY"}, harness.Body{"to": "FRIDAY"},
		}})
	s.record(scheduler, "changeWeekdays", "From Tuesday to Wednesday",
		"/appointments/"+weekly.String()+"/change-weekdays", harness.Body{"weekdays": []any{
			harness.Body{"from": "TUESDAY", "to": "WEDNESDAY"},
		}})
	s.c.Admin().Post(s.t, "/appointments/"+weekly.String()+"/change-weekdays", harness.Body{"weekdays": []any{
		harness.Body{"from": "WEDNESDAY", "to": "TUESDAY"},
	}}).OK(s.t)
	s.record(scheduler, "bookAppointment", "A series that cannot be booked", "/appointments", booking)

	hours := "/practitioners/" + practitioner.String() + "/availability"
	s.record(scheduler, "setAvailability", "Hours on Tuesdays, and a holiday", hours, harness.Body{
		"weekly": []harness.Body{{"weekday": "TUESDAY", "from": "14:00", "to": "17:00"}},
		"exceptions": []harness.Body{
			{"startDate": "2026-03-17", "endDate": "2026-03-20", "hours": []harness.Body{}},
		},
		"bufferBeforeMinutes": 0,
		"bufferAfterMinutes":  15,
	})
	s.record(scheduler, "getAvailability", "Hours of a practitioner", hours, nil)
	s.record(scheduler, "listOpenings", "An hour on Tuesday",
		"/practitioners/"+practitioner.String()+"/openings?from=2026-03-10&to=2026-03-10&minutes=45&step=15", nil)

	entry := "/calendar-entries/" + s.record(scheduler, "createCalendarEntry", "A drive to the school",
		"/calendar-entries", harness.Body{
			"kind": "DRIVE", "practitionerIds": []any{practitioner}, "startTime": "2026-03-11T14:00:00Z",
			"endTime": "2026-03-11T14:30:00Z", "miles": 12.5,
		}).Created(s.t).String()
	s.record(scheduler, "listCalendarEntries", "A week", "/calendar-entries?from=2026-03-09&to=2026-03-15", nil)
	s.record(scheduler, "getCalendarEntry", "A calendar entry", entry, nil)
	s.record(scheduler, "deleteCalendarEntry", "The drive is not needed", entry, nil)
	feed := s.record(scheduler, "createPractitionerCalendarFeed", "A link for a practitioner",
		"/practitioners/"+practitioner.String()+"/calendar-feed", harness.Body{})
	s.record(scheduler, "createPatientCalendarFeed", "A link for a patient",
		"/patients/"+c.Own.Patient.String()+"/calendar-feed", harness.Body{})
	s.record(scheduler, "listCalendarFeeds", "All links", "/calendar-feeds", nil)
	var result struct{ Path string } // from the raw answer, not the shown one
	require.NoError(s.t, json.Unmarshal(feed.Raw, &result))
	calendar := c.As("").GetRaw(s.t, strings.TrimPrefix(result.Path, "/api/v1"))
	s.store(s.routes["readCalendar"], calendar)
	text, err := json.Marshal(string(calendar.Raw))
	require.NoError(s.t, err)
	s.examples["readCalendar"] = []openapi.Example{{
		Name:     "a-calendar",
		Summary:  "A calendar",
		Status:   http.StatusOK,
		Path:     map[string]string{"file": "kUvW….ics"},
		Response: text,
	}}
	s.record(scheduler, "revokeCalendarFeed", "No longer needed", "/calendar-feeds/"+feed.Text("id"), nil)
}

// recordAudit searches the trail for refusals, and exports it.
func (s *recording) recordAudit(admin harness.Caller) {
	const filter = "action=user.sign-in&outcome=denied&limit=1"
	s.c.Exec(s.t, "INSERT INTO anonymous_attempts "+
		"VALUES ('2026-03-02T14:00:00Z', '203.0.113.9', 'user.sign-in', 'unknown', 41, '2026-03-02T14:00:52Z')")
	s.record(s.c.As(s.c.Own.Tokens[rbac.SuperAdmin]), "listAnonymousAttempts", "An attacker guesses addresses",
		"/admin/anonymous-attempts", nil)
	s.record(admin, "listAuditEvents", "Refused sign-ins", "/admin/audit-events?"+filter, nil)
	const path = "/admin/audit-events/export"
	r := s.routes["exportAuditEvents"]
	exported := admin.GetRaw(s.t, path+"?action=user.sign-in&outcome=denied")
	s.store(r, exported)
	text, err := json.Marshal(string(s.counted(anyHash.ReplaceAll(exported.Raw, []byte(`"hash":"`+sampleHash+`"`)))))
	require.NoError(s.t, err)
	s.examples[r.Name] = []openapi.Example{{
		Name:     "refused-sign-ins",
		Summary:  "Refused sign-ins",
		Status:   http.StatusOK,
		Response: text,
	}}
}

// recordReports reads the reports; one more authorization ends soon.
func (s *recording) recordReports(scheduler harness.Caller) {
	ending := s.c.Admin().Post(s.t, "/authorizations", harness.Body{
		"patientId": s.c.Own.Patient, "serviceCodeId": s.c.Own.ServiceCode, "authNumber": "AUTH-3900", "totalUnits": 40,
		"startDate": "2025-10-01", "endDate": "2026-03-28",
	}).Created(s.t).String()
	s.c.Admin().Post(s.t, "/authorizations/"+ending+"/consume", harness.Body{"units": 16, "serviceDate": "2026-02-20"})
	s.record(scheduler, "reportUtilization", "Authorizations in force, by their last days",
		"/reports/utilization?inForceOn=2026-03-02&sort=endDate", nil)
	s.record(scheduler, "reportTotals", "Totals of all", "/reports/utilization/totals?inForceOn=2026-03-02", nil)
	s.record(scheduler, "reportExpiring", "Within 30 days", "/reports/expiring?withinDays=30", nil)
	s.record(scheduler, "reportAtRisk", "Under-used authorizations", "/reports/at-risk?risk=under-used", nil)
	s.record(scheduler, "listAlerts", "Alerts that were not acknowledged", "/alerts?acknowledged=false", nil)
	s.record(scheduler, "acknowledgeAlert", "Acknowledge an alert", "/alerts/"+ending+".under-used/acknowledge", nil)
	s.record(scheduler, "acknowledgeAlert", "It is over", "/alerts/"+ending+".expired/acknowledge", nil)
}

// recordEvents creates webhooks, sends events to one, and reads the first events like a
// reconnecting frontend.
func (s *recording) recordEvents(admin harness.Caller) {
	webhook := "/admin/webhooks/" + s.record(admin, "createWebhook", "Balances", "/admin/webhooks", harness.Body{
		"url": "https://hooks.example.org/omnirapeutic", "types": []string{"authorization.balance"}, "active": false,
	}).Created(s.t).String()
	s.record(admin, "listWebhooks", "All webhooks", "/admin/webhooks", nil)
	s.record(admin, "getWebhook", "A webhook", webhook, nil)
	s.record(admin, "rotateWebhookSecret", "A new secret", webhook+"/rotate-secret", nil)
	s.record(admin, "changeWebhook", "Another address", webhook, harness.Body{"url": "https://hooks.example.org/units"})
	s.record(admin, "deleteWebhook", "No longer needed", webhook, nil)

	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	webhook = "/admin/webhooks/" + admin.Post(s.t, "/admin/webhooks", harness.Body{"url": receiver.URL}).
		Created(s.t).String()
	s.c.StartEvents(s.t)
	delivered := func() bool {
		return len(admin.Get(s.t, webhook+"/deliveries").Body["data"].([]any)) > 1 &&
			len(admin.Get(s.t, webhook+"/deliveries?state=PENDING").Body["data"].([]any)) == 0
	}
	require.Eventually(s.t, delivered, harness.Soon, 10*time.Millisecond)
	s.record(admin, "testWebhook", "The receiver answers", webhook+"/test", nil)
	s.record(admin, "listDeliveries", "The first one", webhook+"/deliveries?state=DELIVERED&limit=1", nil)
	s.recordEvent(admin)
	s.record(admin, "redeliver", "The receiver has lost it", webhook+"/deliveries/1/redeliver", nil)
	require.Eventually(s.t, delivered, harness.Soon, 10*time.Millisecond)
}

// recordEvent listens until two events have arrived.
func (s *recording) recordEvent(admin harness.Caller) {
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, admin.URL+"/events", nil)
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer "+admin.Token)
	request.Header.Set("Last-Event-ID", "0")
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	var text strings.Builder
	for lines := bufio.NewScanner(response.Body); strings.Count(text.String(), "\n\n") < 2 && lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
	}
	s.store(s.routes["listenToEvents"],
		harness.Answer{Status: response.StatusCode, Header: response.Header, Raw: []byte(text.String())})
	_, events, _ := strings.Cut(text.String(), "\n\n") // the first event is the opening
	_, data, found := strings.Cut(events, "data: ")
	require.True(s.t, found, events)
	s.examples["listenToEvents"] = []openapi.Example{{
		Name:     "a-balance",
		Summary:  "The data of an event",
		Status:   response.StatusCode,
		Response: json.RawMessage(strings.TrimSpace(data)),
	}}
}
