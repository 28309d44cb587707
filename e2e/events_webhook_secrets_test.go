package e2e

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// storedSecret is a webhook's secret as stored in the database.
func (c *clinic) storedSecret(t testing.TB, webhook string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(texts(t, c.owner(t),
		"SELECT encode(secret, 'base64') FROM webhooks WHERE id = $1", webhook)[0])
	require.NoError(t, err)
	return raw
}

// TestSecretsOfWebhooksAreEncrypted: including secrets stored as plain text, and secrets encrypted
// with a former secret.
func TestSecretsOfWebhooksAreEncrypted(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	opened := database.Open(t)
	c := serve(t, database, opened, "OMNI_TOKEN_SECRET=3q2-7w8kD1cXb5Jm0aVfT9yRzLhQeNsU")
	admin := c.as(c.enters(t, "admin@own.test").token) // the template's tokens are signed with another secret
	created := admin.post(t, "/admin/webhooks", body{"url": "https://example.com/hook"})
	hook := created.created(t)
	plain, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(created.text("secret"), "whsec_"))
	require.NoError(t, err)
	require.Len(t, plain, 32)
	first := c.storedSecret(t, hook.String())
	require.NotContains(t, string(first), string(plain))
	sealed, err := c.app.Events.EncryptSecrets(t.Context())
	require.NoError(t, err)
	require.Zero(t, sealed, "it is already encrypted")

	old := admin.post(t, "/admin/webhooks", body{"url": "https://example.com/old"}).created(t)
	c.run(t, "UPDATE webhooks SET secret = $1 WHERE id = $2", plain, old)
	sealed, err = c.app.Events.EncryptSecrets(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, sealed)
	require.NotContains(t, string(c.storedSecret(t, old.String())), string(plain))

	rotated := secondInstance(t, c, opened, "OMNI_TOKEN_SECRET=Zw5-another-kD1cXb5Jm0aVfT9yRzLh",
		"OMNI_TOKEN_SECRETS_FORMER=3q2-7w8kD1cXb5Jm0aVfT9yRzLhQeNsU")
	sealed, err = rotated.app.Events.EncryptSecrets(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, sealed)
	require.NotEqual(t, first, c.storedSecret(t, hook.String()))

	version := created.number(t, "version")
	require.Equal(t, version, admin.get(t, "/admin/webhooks/"+hook.String()).ok(t).number(t, "version"),
		"users notice no change")
}
