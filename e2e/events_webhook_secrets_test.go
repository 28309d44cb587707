package e2e

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// storedSecret is a webhook's secret as stored in the database.
func storedSecret(t testing.TB, c *harness.Clinic, webhook string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(harness.QueryTexts(t, c.Owner(t),
		"SELECT encode(secret, 'base64') FROM webhooks WHERE id = $1", webhook)[0])
	require.NoError(t, err)
	return raw
}

// TestSecretsOfWebhooksAreEncrypted: including secrets stored as plain text, and secrets encrypted
// with a former secret.
func TestSecretsOfWebhooksAreEncrypted(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	opened := database.Open(t)
	c := harness.Serve(t, database, opened, "OMNI_TOKEN_SECRET=3q2-7w8kD1cXb5Jm0aVfT9yRzLhQeNsU")
	admin := c.As(c.SignInTokens(t, "admin@own.test").Access) // the template's tokens are signed with another secret
	created := admin.Post(t, "/admin/webhooks", harness.Body{"url": "https://example.com/hook"})
	hook := created.Created(t)
	plain, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(created.Text("secret"), "whsec_"))
	require.NoError(t, err)
	require.Len(t, plain, 32)
	first := storedSecret(t, c, hook.String())
	require.NotContains(t, string(first), string(plain))
	sealed, err := c.App.Events.EncryptSecrets(t.Context())
	require.NoError(t, err)
	require.Zero(t, sealed, "it is already encrypted")

	old := admin.Post(t, "/admin/webhooks", harness.Body{"url": "https://example.com/old"}).Created(t)
	c.Exec(t, "UPDATE webhooks SET secret = $1 WHERE id = $2", plain, old)
	sealed, err = c.App.Events.EncryptSecrets(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, sealed)
	require.NotContains(t, string(storedSecret(t, c, old.String())), string(plain))

	rotated := harness.SecondInstance(t, c, opened, "OMNI_TOKEN_SECRET=Zw5-another-kD1cXb5Jm0aVfT9yRzLh",
		"OMNI_TOKEN_SECRETS_FORMER=3q2-7w8kD1cXb5Jm0aVfT9yRzLhQeNsU")
	sealed, err = rotated.App.Events.EncryptSecrets(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, sealed)
	require.NotEqual(t, first, storedSecret(t, c, hook.String()))

	version := created.Number(t, "version")
	require.Equal(t, version, admin.Get(t, "/admin/webhooks/"+hook.String()).OK(t).Number(t, "version"),
		"users notice no change")
}
