package logtest_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/telemetry/logtest"
)

// TestWatchFindsForbiddenContent checks the watch itself, on which all other
// tests rely.
func TestWatchFindsForbiddenContent(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"a token":                   `{"error":"bad token eyJhbGciOiJIUzI1NiJ9.e30.x"}`,
		"a header":                  `Authorization: Bearer 0198f0de00007000`,
		"a webhook's secret":        `secret=whsec_c2VjcmV0`,
		"an API key":                `key omni_key_0123456789abcdef is not valid`,
		"a hash":                    `hash=$argon2id$v=19$m=65536`,
		"a key":                     `-----BEGIN PRIVATE KEY-----`,
		"a database's URL":          `dial postgres://omni_app:hunter2@db:5432/omnirapeutic`,
		"a database's settings":     `cannot connect: host=db password=hunter2`,
		"a search text":             `GET /api/v1/patients?search=x`,
		"the person of a record":    `GET /api/v1/patients/0198f0de-0000-7000-8000-000000000001`,
		"a name":                    `{"error":"no such patient: Marigold Fenwick"}`,
		"a name as JSON writes it":  `{"error":"\u003cZoë \"Zo\" Öhm\u003e is here"}`,
		"a story":                   `msg="hit another child; see notes"`,
		"a password":                `wrong password for tr0ub4dor-and-three`,
		"a date of birth":           `born 2019-05-04`,
		"a refresh token":           `reuse of r1.f00dfeed_cafe`,
		"a value of an answer":      `token opaque-0198f0de is old`,
		"one of a list":             `code 4711-0815 was used`,
		"a member of a nested list": `member W-1234567`,
	} {
		t.Run("it finds "+name, func(t *testing.T) {
			t.Parallel()
			w := registered()
			w.Look("log", []byte("fine\n"+line+"\nfine\n"))
			require.ErrorContains(t, w.Err(), "1 lines")
			require.Equal(t, 3, w.Looked())
		})
	}
	for name, line := range map[string]string{
		"a route":                      `{"event":"request","method":"GET","route":"/api/v1/patients/:id","status":200}`,
		"an id":                        `{"user_id":"0198f0de-0000-7000-8000-000000000001","time":"2026-03-01T00:00:00Z"}`,
		"a statement without values":   `{"sql":"SELECT * FROM \"users\" WHERE email = $1 AND password_hash <> $2"}`,
		"a URL with a hidden password": `postgres://omni_app@db:5432/omnirapeutic`,
		"a part of a name":             `{"event":"Marigold"}`,
		"a role":                       `{"permission":"PRACTITIONER"}`,
		"a word":                       `{"msg":"a hold was cancelled"}`,
		"a short number":               `{"duration_ms":20260301}`,
		"its own words":                `{"msg":"Some words of the program's"}`,
		"a short word":                 `{"error":"Ada"}`,
	} {
		t.Run("it passes over "+name, func(t *testing.T) {
			t.Parallel()
			w := registered()
			w.Look("log", []byte(line+"\n"))
			require.NoError(t, w.Err())
		})
	}
	t.Run("it checks the lines of a logger, and passes them on", func(t *testing.T) {
		t.Parallel()
		w := registered()
		var out bytes.Buffer
		l := telemetry.NewLogger(w.Writer("log", &out), "info", "json")
		l.WithField("event", "x").WithField("lastName", "Marigold Fenwick").Info("fine: the field is dropped")
		require.NoError(t, w.Err())
		l.WithField("event", "x").Info("met Marigold Fenwick")
		require.ErrorContains(t, w.Err(), "Marigold Fenwick")
		require.Contains(t, out.String(), "Marigold Fenwick")
	})
}

// registered has the values of a test.
func registered() *logtest.Watch {
	w := &logtest.Watch{}
	w.RegisterRequest([]byte(`{
		"data": [{"firstName": "Ada", "lastName": "Marigold Fenwick", "role": "none", "dateOfBirth": "2019-05-04"},
			{"name": "<Zoë \"Zo\" Öhm>"}],
		"narrative": "hit another child", "password": "tr0ub4dor-and-three", "refreshToken": "r1.f00dfeed_cafe",
		"reason": "cancelled ", "reference": "20260301",
		"recoveryCodes": ["4711-0815"], "name": "PRACTITIONER", "insurances": [{"memberId": "W-1234567"}]
	}`))
	w.RegisterResponse([]byte(`{"accessToken": "opaque-0198f0de", "reason": "Some words of the program's"}`))
	w.RegisterRequest([]byte(`no JSON`))
	return w
}
