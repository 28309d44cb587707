package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/smtp/smtptest"
	"omnirapeutic/platform/telemetry/logtest"
)

// requestReset requests a link for an address.
func requestReset(t testing.TB, c *harness.Clinic, email string) harness.Answer {
	t.Helper()
	return c.As("").Post(t, "/auth/password-reset", harness.Body{"email": email})
}

// requestedToken requests a link for an address, and returns the token of the only mail.
func requestedToken(t testing.TB, c *harness.Clinic, email string) string {
	t.Helper()
	require.Equal(t, http.StatusNoContent, requestReset(t, c, email).Status)
	mails := c.AnswerResetRequests(t)
	require.Len(t, mails, 1)
	token, found := strings.CutPrefix(mails[0].Link(t), harness.FrontendURL+"#password-reset=")
	require.True(t, found)
	return token
}

func TestAUserRequestsALinkToSetANewPassword(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	const email = "rosa@own.test"
	user := c.AddUser(t, c.Own, email, rbac.Biller)
	signedIn := c.SignInTokens(t, email)
	require.Len(t, c.SendMail(t), 1, "the notice of the sign-in")
	token := requestedToken(t, c, "Rosa@Own.test ")
	require.Zero(t, c.Count(t, "SELECT count(*) FROM password_reset_requests"))
	require.Zero(t, c.Count(t, "SELECT count(*) FROM mails m WHERE m::text LIKE '%' || $1 || '%'", token))
	c.As(signedIn.Access).Get(t, "/auth/me").OK(t)

	resetPassword(t, c, token, "short").Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Equal(t, http.StatusNoContent, resetPassword(t, c, token, harness.OtherPassword).Status)
	resetPassword(t, c, token, harness.OtherPassword).Refused(t, http.StatusNotFound, "password-reset-not-found")
	c.As(signedIn.Access).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	c.Refresh(t, signedIn.Refresh).Refused(t, http.StatusUnauthorized, "refresh-refused")
	c.Login(t, email, harness.OtherPassword, uuid.Nil).OK(t)
	require.Equal(t, []string{"password-reset.request", "password-reset.use"}, harness.QueryTexts(t, c.Owner(t), `
		SELECT action FROM audit_events WHERE subject_id = $1 AND actor_id = $1 AND address <> ''
		AND action LIKE 'password-reset.%' ORDER BY sequence`, harness.IDOf(user)))
}

func TestARequestedLinkLastsThirtyMinutes(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	c.AddUser(t, c.Own, "rosa@own.test", rbac.Biller)
	token := requestedToken(t, c, "rosa@own.test")
	c.Clock.Advance(31 * time.Minute)
	resetPassword(t, c, token, harness.OtherPassword).Refused(t, http.StatusNotFound, "password-reset-not-found")
	require.NotEmpty(t, requestedToken(t, c, "rosa@own.test"))
}

func TestASecondFactorIsRequiredAfterAReset(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := &harness.Clinic{
		Database: database, Mail: smtptest.Start(t, smtptest.Options{}), Clock: harness.FrozenClock(time.Now()),
	}
	c.Start(t, database.Open(t))
	c.AddPractices(t)
	c.Enrol(t, c.As(c.Own.Tokens[rbac.Biller]))
	require.Len(t, c.SendMail(t), 1, "the notice")
	token := requestedToken(t, c, "biller@own.test")
	require.Equal(t, http.StatusNoContent, resetPassword(t, c, token, harness.OtherPassword).Status)
	c.Login(t, "biller@own.test", harness.OtherPassword, uuid.Nil).
		Refused(t, http.StatusUnauthorized, "second-factor-required")
}

// TestARequestRevealsNoAccount compares the answers and the statements of requests for all kinds of
// addresses.
func TestARequestRevealsNoAccount(t *testing.T) {
	t.Parallel()
	logger, log := logtest.Recorder()
	database := harness.TwoPractices.New(t)
	c := &harness.Clinic{Database: database, Mail: smtptest.Start(t, smtptest.Options{})}
	c.Start(t, database.Open(t, func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger }))
	c.AddPractices(t)
	c.AddUser(t, c.Own, "known@own.test", rbac.Biller)
	c.AddUser(t, c.Own, "both@own.test", rbac.Biller)
	c.AddUser(t, c.Other, "both@own.test", rbac.Biller)
	c.AddUser(t, c.Own, "refusing@own.test", rbac.Biller)
	disabled := c.AddUser(t, c.Own, "disabled@own.test", rbac.Biller)
	c.Admin().Patch(t, disabled, harness.Body{"disabled": true}).OK(t)
	linked := c.AddUser(t, c.Own, "linked@own.test", rbac.Biller)
	c.Exec(t, "INSERT INTO provider_subjects VALUES ($1, 'https://login.example.test', 'x', $2, now())", c.Own.ID,
		harness.IDOf(linked))
	c.Exec(t, `INSERT INTO refused_addresses (organization_id, id, address, kind, reply, refused_at)
		VALUES ($1, $1, 'refusing@own.test', 'invitation', '550 5.1.1', now())`, c.Own.ID)

	var answers, statements []string
	for _, email := range []string{
		"unknown@own.test", "known@own.test", "both@own.test", "disabled@own.test", "linked@own.test", "refusing@own.test",
	} {
		log.Reset()
		a := requestReset(t, c, email)
		require.Equal(t, http.StatusNoContent, a.Status)
		answers = append(answers, string(a.Raw))
		statements = append(statements, strings.Join(statementsOf(log), ", "))
	}
	require.Len(t, slices.Compact(answers), 1)
	require.Len(t, slices.Compact(statements), 1, "the work is the same")
	require.Contains(t, statements[0], "password_reset_requests")
	require.NotContains(t, statements[0], " users ")

	var to []string
	for _, m := range c.AnswerResetRequests(t) {
		to = append(to, m.To)
	}
	slices.Sort(to)
	require.Equal(t, []string{"both@own.test", "both@own.test", "known@own.test"}, to)
	require.Zero(t, c.Count(t, "SELECT count(*) FROM password_reset_requests"))
}

func TestRequestsForALinkAreLimited(t *testing.T) {
	t.Parallel()
	c := clinicWithMailAt(t, time.Now()) // the delay of a second must not pass
	c.AddUser(t, c.Own, "rosa@own.test", rbac.Biller)
	for _, email := range []string{"rosa@own.test", "unknown@own.test"} {
		for range 10 {
			require.Equal(t, http.StatusNoContent, requestReset(t, c, email).Status)
		}
		requestReset(t, c, email).Refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	}
	require.Len(t, c.AnswerResetRequests(t), 1, "further requests send no other link")
	c.Login(t, "rosa@own.test", harness.Password, uuid.Nil).OK(t)
}

func TestRequestsOfOneNetworkAreLimited(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := &harness.Clinic{
		Database: database, Mail: smtptest.Start(t, smtptest.Options{}),
		Settings: []string{"OMNI_FAILURE_RATE_LIMIT=0.01", "OMNI_FAILURE_RATE_BURST=3"},
	}
	c.Start(t, database.Open(t))
	for _, name := range []string{"a", "b", "c"} {
		require.Equal(t, http.StatusNoContent, requestReset(t, c, name+"@own.test").Status)
	}
	limited := requestReset(t, c, "d@own.test").Refused(t, http.StatusTooManyRequests, "rate-limited")
	require.Equal(t, "failures", limited.Body["policy"])
}

func TestAStrangerDoesNotReplaceAnAdministratorsLink(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	user := c.AddUser(t, c.Own, "rosa@own.test", rbac.Biller)
	require.Equal(t, true, c.Admin().Post(t, user+"/password-reset", harness.Body{}).Body["mailed"])
	require.Len(t, c.SendMail(t), 1)
	requestReset(t, c, "rosa@own.test")
	require.Empty(t, c.AnswerResetRequests(t))
}

func TestWithoutMailNoLinkCanBeRequested(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for _, email := range []string{"biller@own.test", "unknown@own.test"} {
		requestReset(t, c, email).Refused(t, http.StatusConflict, "mail-not-configured")
	}
	requestReset(t, harness.OpenWithMail(t), "not an address").
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
}
