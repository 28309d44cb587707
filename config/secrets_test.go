package config

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWeakSecretsAreRefusedInProduction(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{
		"one character":             strings.Repeat("x", 40),
		"a repeated word":           strings.Repeat("s3cret", 8),
		"the same half twice":       "0123456789abcdef0123456789abcdef",
		"the alphabet":              "abcdefghijklmnopqrstuvwxyz0123456789",
		"few different characters":  "aabbabababbbaabbabbabaabbbababbbabaaabba",
		"a word with much padding":  "hunter2" + strings.Repeat("0", 40),
		"characters in turns, once": "aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbb",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Error(t, checkStrength(secret))
			for _, variable := range []string{"OMNI_TOKEN_SECRET", "OMNI_SECRET_ENCRYPTION", "OMNI_SECRET_TOKENS"} {
				environ := []string{
					"OMNI_PROFILE=production", "OMNI_DATA_DIR=/d", "OMNI_TOKEN_SECRET=" + someSecret,
					variable + "=" + secret,
				}
				_, err := load(t, "", environ...)
				require.ErrorContains(t, err, "openssl rand -base64 48")
				require.NotContains(t, err.Error(), secret)
			}
			_, err := load(t, "", "OMNI_TOKEN_SECRET="+secret)
			require.NoError(t, err, "development accepts it")
			_, err = load(t, "", "OMNI_PROFILE=production", "OMNI_DATA_DIR=/d", "OMNI_TOKEN_SECRET="+someSecret,
				"OMNI_TOKEN_SECRETS_FORMER="+secret)
			require.NoError(t, err, "data encrypted with a weak secret must be readable until it is encrypted again")
		})
	}
}

func TestRandomSecretsAreStrong(t *testing.T) {
	t.Parallel()
	for range 2000 {
		raw := make([]byte, 48)
		_, _ = rand.Read(raw)
		for _, secret := range []string{
			base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw[:24]),
			hex.EncodeToString(raw[:16]), string(raw[:32]),
		} {
			require.NoError(t, checkStrength(secret), "%q", secret)
		}
	}
}

func TestSecretFilesThatOthersCanReadAreRefusedInProduction(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	production := []string{"OMNI_PROFILE=production", "OMNI_DATA_DIR=/d"}
	require.NoError(t, os.WriteFile(path, []byte(someSecret), 0o600))
	for mode, refused := range map[os.FileMode]bool{
		0o600: false,
		0o440: false,
		0o640: false,
		0o644: true,
		0o444: true,
		0o604: true,
	} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := load(t, "", append(production, "OMNI_TOKEN_SECRET_FILE="+path)...)
		if !refused {
			require.NoError(t, err, "%o", mode)
			continue
		}
		require.ErrorContains(t, err, "token.secret = \""+path+"\" (environment OMNI_TOKEN_SECRET_FILE): "+
			"names a file that every user of this machine can read")
		_, err = load(t, "", "OMNI_TOKEN_SECRET_FILE="+path)
		require.NoError(t, err, "development accepts it")
	}
	t.Run("the key of the certificate", func(t *testing.T) {
		require.NoError(t, os.Chmod(path, 0o644))
		found := problems(t, "",
			append(production, "OMNI_TOKEN_SECRET="+someSecret, "OMNI_TLS_CERTIFICATE=/c", "OMNI_TLS_KEY="+path)...)
		require.Equal(t, []string{"http.tls_key"}, keysOf(found))
	})
	t.Run("a configuration file with a secret", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "config.yaml")
		for text, refused := range map[string]bool{"token: {secret: " + someSecret + "}": true, "addr: :1": false} {
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			require.NoError(t, os.Chmod(file, 0o644))
			_, err := Load(file,
				append(production, "HOME=/h", "OMNI_SECRET_CURSORS="+someSecret, "OMNI_SECRET_TOKENS="+someSecret))
			if refused {
				require.ErrorContains(t, err, "every user of this machine can read")
			} else {
				require.ErrorContains(t, err, "token.secret (default")
				require.NotContains(t, err.Error(), "every user of this machine can read")
			}
		}
	})
}

func TestEachPurposeHasItsSecrets(t *testing.T) {
	t.Parallel()
	secret := func(name string) string { return name + someSecret }
	bytes := func(names ...string) [][]byte {
		var all [][]byte
		for _, name := range names {
			all = append(all, []byte(secret(name)))
		}
		return all
	}
	shared := []string{"OMNI_TOKEN_SECRET=" + secret("shared"), "OMNI_TOKEN_SECRETS_FORMER=" + secret("before")}
	c, err := load(t, "", shared...)
	require.NoError(t, err)
	all := bytes("shared", "before")
	require.Equal(t, KeySecrets{all, all, all, all, all, all}, c.KeySecrets())

	c, err = load(t, "", append(shared,
		"OMNI_SECRET_TOKENS="+secret("tokens"), "OMNI_SECRET_TOKENS_FORMER="+secret("shared"), "OMNI_SECRET_ENCRYPTION="+
			secret("encryption"),
		"OMNI_SECRET_DEVICES="+secret("devices"))...)
	require.NoError(t, err)
	require.Equal(t, KeySecrets{
		Tokens: bytes("tokens", "shared"), Encryption: bytes("encryption", "shared", "before"), Cursors: all,
		Devices: bytes("devices"), Throttle: all, Anchors: all,
	}, c.KeySecrets())
}
