package rbac

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// Recovery codes are look-up secrets of NIST SP 800-63B-4, section 3.1.2: random,
// good once, and kept as a hash. With 112 bits or more an approved hash will do, as
// nobody finds them from it; fewer would need one that is slow, ten times for each.
const (
	recoveryCodes   = 10 // in a set
	recoveryLetters = 24 // of 5 bits each: 120
	recoveryGroup   = 6  // letters between hyphens
)

// newRecoveryCodes returns a set, as people are shown it: WJ3QKD-7X2ANM-PLQ5RT-VHZC6B.
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

// recoveryHash is what is kept of a recovery code, however it is typed; nil of what
// is none.
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
	for i, each := range codes {
		hashes[i] = recoveryHash(each)
	}
	return hashes
}
