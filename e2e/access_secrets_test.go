package e2e

import (
	"net/http"
	"reflect"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
	"omnirapeutic/platform/httpx"
)

func TestSecretIsReturnedOnceAndNeverStored(t *testing.T) {
	t.Parallel()
	c := open(t)
	hook := "/admin/webhooks/" +
		c.admin().post(t, "/admin/webhooks", body{"url": "https://example.com/other"}).created(t).String()
	for _, call := range []struct {
		path, member string
		body         body
	}{
		{"/practitioners/" + c.employ(t).String() + "/calendar-feed", "path", body{}},
		{"/patients/" + c.own.patient.String() + "/calendar-feed", "path", body{}},
		{"/admin/webhooks", "secret", body{"url": "https://example.com/hook"}},
		{hook + "/rotate-secret", "secret", body{}},
		{"/users/invitations", "token", body{"email": "new@example.test", "name": "New", "roles": []string{"BILLER"}}},
	} {
		t.Run("POST "+call.path, func(t *testing.T) {
			keyed := c.admin().with("Idempotency-Key", "k"+call.path)
			first := keyed.post(t, call.path, call.body)
			require.Less(t, first.status, 300, "%s", first.raw)
			secret := first.text(call.member)
			require.Greater(t, len(secret), 40)
			require.Zero(t, c.count(t, "SELECT count(*) FROM commands WHERE position($1 IN answer::text) > 0", secret))
			require.Positive(t, c.count(t, "SELECT count(*) FROM commands WHERE answer::jsonb ->> 'body' LIKE '%' || $1 || '%'",
				`"`+call.member+`":null`))

			again := keyed.post(t, call.path, call.body)
			require.Equal(t, first.status, again.status)
			require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
			require.Equal(t, first.header.Get("Location"), again.header.Get("Location"))
			want := first.body
			want[call.member] = nil
			require.Equal(t, want, again.body, "the same answer, with null for the secret")
		})
	}
	require.Len(t, c.admin().get(t, "/calendar-feeds").ok(t).body["data"], 2)
	require.Len(t, c.admin().get(t, "/admin/webhooks").ok(t).body["data"], 2)
}

// The first request returns the secret even if the database connection breaks, because
// the answer is not read back from the stored one.
func TestSecretIsReturnedWhenItsCommitIsCut(t *testing.T) {
	t.Parallel()
	for it, place := range map[string]wireproxy.Point{
		"COMMIT never reached the server":        wireproxy.BeforeServer,
		"COMMIT was executed and its reply lost": wireproxy.BeforeAnswer,
	} {
		t.Run(it, func(t *testing.T) {
			t.Parallel()
			database := twoPractices.New(t)
			proxy := wireproxy.Start(t, database.AppURL)
			c := serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
			keyed := c.admin().with("Idempotency-Key", "k")
			calendar := "/patients/" + c.own.patient.String() + "/calendar-feed"
			proxy.Break(place, "commit", 1)
			first := keyed.post(t, calendar, body{})
			first.created(t)
			response, _ := c.subscribe(t, first.text("path"))
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Nil(t, keyed.post(t, calendar, body{}).body["path"])
			require.Len(t, c.admin().get(t, "/calendar-feeds").ok(t).body["data"], 1)
		})
	}
}

// secretive are member names that suggest a secret.
var secretive = regexp.MustCompile(`(?i)(secret|token|password|key|link|code)$`)

// notSecret are members of answers that are not secret despite their names.
var notSecret = map[string]bool{"code": true, "serviceCode": true}

func TestEverySecretOfAnAnswerIsDeclared(t *testing.T) {
	t.Parallel()
	found := 0
	for _, r := range open(t).app.Routes() {
		if r.Permission == httpx.Public { // its answers are not stored
			continue
		}
		for _, f := range membersOf(r.Endpoint.Out) {
			if f.Type == reflect.TypeFor[httpx.Secret]() {
				found++
				continue
			}
			name := f.Tag.Get("json")
			require.False(t, f.Type.Kind() == reflect.String && secretive.MatchString(name) && !notSecret[name],
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
