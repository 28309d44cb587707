package e2e

import (
	"net/http"
	"reflect"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
	"omnirapeutic/platform/httpx"
)

func TestSecretIsReturnedOnceAndNeverStored(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	hook := "/admin/webhooks/" +
		c.Admin().Post(t, "/admin/webhooks", harness.Body{"url": "https://example.com/other"}).Created(t).String()
	for _, call := range []struct {
		path, member string
		body         harness.Body
	}{
		{"/practitioners/" + c.AddPractitioner(t).String() + "/calendar-feed", "path", harness.Body{}},
		{"/patients/" + c.Own.Patient.String() + "/calendar-feed", "path", harness.Body{}},
		{"/admin/webhooks", "secret", harness.Body{"url": "https://example.com/hook"}},
		{hook + "/rotate-secret", "secret", harness.Body{}},
		{
			"/users/invitations", "token", harness.Body{"email": "new@example.test", "name": "New", "roles": []string{"BILLER"}},
		},
	} {
		t.Run("POST "+call.path, func(t *testing.T) {
			keyed := c.Admin().WithHeader("Idempotency-Key", "k"+call.path)
			first := keyed.Post(t, call.path, call.body)
			require.Less(t, first.Status, 300, "%s", first.Raw)
			secret := first.Text(call.member)
			require.Greater(t, len(secret), 40)
			require.Zero(t, c.Count(t, "SELECT count(*) FROM commands WHERE position($1 IN answer::text) > 0", secret))
			require.Positive(t, c.Count(t, "SELECT count(*) FROM commands WHERE answer::jsonb ->> 'body' LIKE '%' || $1 || '%'",
				`"`+call.member+`":null`))

			again := keyed.Post(t, call.path, call.body)
			require.Equal(t, first.Status, again.Status)
			require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
			require.Equal(t, first.Header.Get("Location"), again.Header.Get("Location"))
			want := first.Body
			want[call.member] = nil
			require.Equal(t, want, again.Body, "the same answer, with null for the secret")
		})
	}
	require.Len(t, c.Admin().Get(t, "/calendar-feeds").OK(t).Body["data"], 2)
	require.Len(t, c.Admin().Get(t, "/admin/webhooks").OK(t).Body["data"], 2)
}

// The first request returns the secret even if the database connection breaks, because
// the answer is not read back from the stored one.
func TestSecretIsReturnedWhenItsCommitIsCut(t *testing.T) {
	t.Parallel()
	for it, point := range map[string]wireproxy.Point{
		"COMMIT never reached the server":        wireproxy.BeforeServer,
		"COMMIT was executed and its reply lost": wireproxy.BeforeAnswer,
	} {
		t.Run(it, func(t *testing.T) {
			t.Parallel()
			database := harness.TwoPractices.New(t)
			proxy := wireproxy.Start(t, database.AppURL)
			c := harness.Serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
			keyed := c.Admin().WithHeader("Idempotency-Key", "k")
			calendar := "/patients/" + c.Own.Patient.String() + "/calendar-feed"
			proxy.Break(point, "commit", 1)
			first := keyed.Post(t, calendar, harness.Body{})
			first.Created(t)
			response, _ := c.FetchCalendar(t, first.Text("path"))
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Nil(t, keyed.Post(t, calendar, harness.Body{}).Body["path"])
			require.Len(t, c.Admin().Get(t, "/calendar-feeds").OK(t).Body["data"], 1)
		})
	}
}

// secretName are member names that suggest a secret.
var secretName = regexp.MustCompile(`(?i)(secret|token|password|key|link|code)$`)

// notSecret are members of answers that are not secret despite their names.
var notSecret = map[string]bool{"code": true, "serviceCode": true}

func TestEverySecretOfAnAnswerIsDeclared(t *testing.T) {
	t.Parallel()
	found := 0
	for _, r := range harness.Open(t).App.Routes() {
		if r.Permission == httpx.Public { // its answers are not stored
			continue
		}
		for _, f := range membersOf(r.Endpoint.Out) {
			if f.Type == reflect.TypeFor[httpx.Secret]() {
				found++
				continue
			}
			name := f.Tag.Get("json")
			require.False(t, f.Type.Kind() == reflect.String && secretName.MatchString(name) && !notSecret[name],
				"%s answers with %q: a secret must be an httpx.Secret", r.Name, name)
		}
	}
	require.GreaterOrEqual(t, found, 4, "two calendar links, a webhook, and its new secret")
}

func membersOf(t reflect.Type) []reflect.StructField {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var all []reflect.StructField
	for f := range t.Fields() {
		if f.Anonymous {
			all = append(all, membersOf(f.Type)...)
			continue
		}
		all = append(all, f)
	}
	return all
}
