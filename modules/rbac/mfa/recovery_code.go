package mfa

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// Recovery codes are look-up secrets of NIST SP 800-63B-4, section 3.1.2: random, valid once, and
// stored as a hash. Codes of at least 112 bits can be stored with a fast approved hash (SP
// 800-63B of 2017, section 5.1.2.2). Shorter codes would need a slow hash, ten times per set.
const (
	recoveryCodes   = 10 // in a set
	recoveryLetters = 24 // of 5 bits each: 120
	recoveryGroup   = 6  // letters between hyphens
)

// newRecoveryCodes returns a set of codes such as WJ3QKD-7X2ANM-PLQ5RT-VHZC6B.
func newRecoveryCodes() []string {
	codes := make([]string, recoveryCodes)
	for i := range codes {
		random := rand.Text()[:recoveryLetters] // A to Z and 2 to 7
		var groups []string
		for len(random) > 0 {
			groups = append(groups, random[:recoveryGroup])
			random = random[recoveryGroup:]
		}
		codes[i] = strings.Join(groups, "-")
	}
	return codes
}

// recoveryHash returns the stored hash of a recovery code as typed by a person; nil if the text
// is not a code.
func recoveryHash(given string) []byte {
	letters := strings.NewReplacer("-", "", " ", "").Replace(strings.ToUpper(given))
	if len(letters) != recoveryLetters || strings.Trim(letters, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return nil
	}
	sum := sha256.Sum256([]byte(letters))
	return sum[:]
}

func recoveryHashes(codes []string) [][]byte {
	hashes := make([][]byte, len(codes))
	for i, code := range codes {
		hashes[i] = recoveryHash(code)
	}
	return hashes
}
