package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
)

// Secrets are separate secrets for single purposes. A purpose without its own secret uses a key
// derived from Token.Secret.
type Secrets struct {
	Tokens     KeySet // signs access tokens, and derives refresh tokens
	Encryption KeySet // encrypts second factors and the secrets of webhooks and identity providers
	Cursors    KeySet // encrypts the cursors of lists
	Devices    KeySet // signs device tokens
	Throttle   KeySet // hashes the keys by which failed attempts are counted
	Anchors    KeySet // signs the heads of audit trails that are kept elsewhere
}

// KeySet is a secret and its former secrets.
type KeySet struct {
	Secret Secret // "" to derive it from Token.Secret
	Former []Secret
}

// KeySecrets are the secrets of each purpose. The first is in use. Signatures and ciphertexts of
// the others are still accepted.
type KeySecrets struct {
	Tokens, Encryption, Cursors, Devices, Throttle, Anchors [][]byte
}

// KeySecrets returns the secrets of each purpose.
func (c Config) KeySecrets() KeySecrets {
	shared := KeySet{c.Token.Secret, c.Token.Former}
	of := func(own KeySet) [][]byte {
		if own.Secret == "" {
			return revealed(slices.Concat([]Secret{shared.Secret}, own.Former, shared.Former))
		}
		return revealed(append([]Secret{own.Secret}, own.Former...))
	}
	encryption := of(c.Secrets.Encryption)
	if c.Secrets.Encryption.Secret != "" { // older ciphertexts must stay readable
		encryption = append(encryption, of(KeySet{})...)
	}
	return KeySecrets{
		of(c.Secrets.Tokens), encryption, of(c.Secrets.Cursors), of(c.Secrets.Devices),
		of(c.Secrets.Throttle), of(c.Secrets.Anchors),
	}
}

func revealed(secrets []Secret) [][]byte {
	texts := make([][]byte, len(secrets))
	for i, secret := range secrets {
		texts[i] = []byte(secret.Reveal())
	}
	return texts
}

const purposeEnv = "OMNI_SECRET_"

// purposeSecret is the key of a purpose's own secret.
func purposeSecret(purpose string, field func(*Config) *KeySet) key {
	return key{
		name: "secrets." + purpose, env: purposeEnv + strings.ToUpper(purpose), secret: true,
		set:  func(c *Config, s string) error { field(c).Secret = Secret(s); return checkSecret(s) },
		show: func(c Config) string { return field(&c).Secret.String() },
	}
}

// purposeFormer is the key of a purpose's former secrets.
func purposeFormer(purpose string, field func(*Config) *KeySet) key {
	return key{
		name: "secrets." + purpose + "_former", env: purposeEnv + strings.ToUpper(purpose) + "_FORMER", secret: true,
		set:  setFormer(func(c *Config) *[]Secret { return &field(c).Former }),
		show: func(c Config) string { return showFormer(field(&c).Former) },
	}
}

const leastSecret = 32

const makeSecret = "create one with `openssl rand -base64 48`"

func checkSecret(s string) error {
	if len(s) < leastSecret {
		return fmt.Errorf("must have at least %d bytes: %s", leastSecret, makeSecret)
	}
	return nil
}

// setFormer parses secrets that are separated by spaces or line ends.
func setFormer(field func(*Config) *[]Secret) func(*Config, string) error {
	return func(c *Config, s string) error {
		former := field(c)
		*former = nil
		for text := range strings.FieldsSeq(s) {
			if err := checkSecret(text); err != nil {
				return fmt.Errorf("each secret, separated by spaces, %w", err)
			}
			*former = append(*former, Secret(text))
		}
		return nil
	}
}

func showFormer(former []Secret) string {
	if len(former) == 0 {
		return ""
	}
	return former[0].String()
}

// leastBits is the minimum estimated randomness of a secret. 32 random hexadecimal digits have 128
// bits, and are estimated at 110 or more.
const leastBits = 90

// checkStrength returns an error for a secret that is easy to guess, otherwise nil.
func checkStrength(s string) error {
	counts := map[byte]int{}
	steps := map[byte]int{}
	for i := range len(s) {
		counts[s[i]]++
		if i > 0 {
			steps[s[i]-s[i-1]]++
		}
	}
	bits := 0.0
	for _, n := range counts {
		share := float64(n) / float64(len(s))
		bits -= float64(n) * math.Log2(share)
	}
	isSequence := slices.Max(append(valuesOf(steps), 0)) > len(s)/2 // abcdef…, 123123…
	switch {
	case repeats(s):
		return errors.New("must not repeat itself: " + makeSecret)
	case isSequence || bits < leastBits:
		return errors.New("is too easy to guess: " + makeSecret)
	}
	return nil
}

func valuesOf(counts map[byte]int) []int {
	var all []int
	for _, n := range counts {
		all = append(all, n)
	}
	return all
}

// repeats reports whether a text is a repetition of one part.
func repeats(s string) bool {
	for unit := 1; unit <= len(s)/2; unit++ {
		if s[unit:] == s[:len(s)-unit] {
			return true
		}
	}
	return false
}

// secretFile is a file that contains a secret.
type secretFile struct{ key, path, source string }

// readableByOthers reports whether every user of this machine may read a file.
func readableByOthers(path string) bool {
	info, err := os.Stat(path)
	return err == nil && runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&fs.FileMode(0o004) != 0
}

// refuseWeak rejects secrets that are easy to guess or readable by others.
func (l *loader) refuseWeak(c Config, sources map[string]string) {
	for _, item := range []struct {
		key    string
		secret Secret
	}{
		{"token.secret", c.Token.Secret},
		{"secrets.tokens", c.Secrets.Tokens.Secret},
		{"secrets.encryption", c.Secrets.Encryption.Secret},
		{"secrets.cursors", c.Secrets.Cursors.Secret},
		{"secrets.devices", c.Secrets.Devices.Secret},
		{"secrets.throttle", c.Secrets.Throttle.Secret},
		{"secrets.anchors", c.Secrets.Anchors.Secret},
	} {
		text := item.secret.Reveal()
		if len(text) < leastSecret || item.secret == DevelopmentSecret { // already rejected
			continue
		}
		if err := checkStrength(text); err != nil {
			l.problems.add(item.key, hidden, sources[item.key], err.Error())
		}
	}
	files := l.secretFiles
	if c.HTTP.TLS.Key != "" {
		files = append(files, secretFile{"http.tls_key", c.HTTP.TLS.Key, sources["http.tls_key"]})
	}
	for _, f := range files {
		if readableByOthers(f.path) {
			l.problems.add(f.key, f.path, f.source, "names a file that every user of this machine can read: "+
				"`chmod o-r` it, or mount it with the mode 0440")
		}
	}
}
