package rbac

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// enrolmentTime is for how long a second factor that was begun can be confirmed.
	enrolmentTime = 15 * time.Minute
	// maxWrongCodes is how many wrong codes in a row are looked at, wherever they come
	// from and over however many days; then the app's are not looked at any more. NIST
	// SP 800-63B-4, section 3.2.2, wants no more than 100. A recovery code lets the user
	// in, and is too long for anybody to guess.
	maxWrongCodes = 100
)

// factor is the second factor of a user. The zero value is none.
type factor struct {
	OrganizationID uuid.UUID  `gorm:"primaryKey"`
	UserID         uuid.UUID  `gorm:"primaryKey"`
	Secret         []byte     // sealed
	BegunAt        time.Time  // the first time that it could be confirmed
	ConfirmedAt    *time.Time // nil: it does not count
	LastStep       int64      // whose code was accepted last
	WrongCodes     int        // since the last right one
}

// TableName names the table for gorm.
func (factor) TableName() string { return "second_factors" }

// isOn reports whether the user signs in with it.
func (f factor) isOn() bool { return f.ConfirmedAt != nil }

// isBegun reports whether it can be confirmed.
func (f factor) isBegun(now time.Time) bool {
	return f.UserID != uuid.Nil && !f.isOn() && now.Before(f.BegunAt.Add(enrolmentTime))
}

// about is what the seal of a secret is about: nobody else can be given it.
func (f factor) about() []byte {
	return append(f.OrganizationID[:len(f.OrganizationID):len(f.OrganizationID)], f.UserID[:]...)
}

// verdict says why a code does not do, to those who may read the trail; empty: it does.
type verdict string

const (
	codeGood    verdict = ""
	codeMissing verdict = "code-missing" // nothing was given yet: no denial
	codeWrong   verdict = "code"
	codeUsed    verdict = "code-used"
	codeLocked  verdict = "code-locked" // the app's are not looked at: see judge
)

// proof is what a code proves, until it is spent: the step whose code it is, or the
// hash of a recovery code, which the database knows or not.
type proof struct {
	step     int64
	recovery []byte
}

// name is what the trail calls it; empty where nothing was proven.
func (p proof) name() string {
	switch {
	case p.step != 0:
		return "code"
	case p.recovery != nil:
		return "recovery-code"
	}
	return ""
}

// judge says what a code is worth at a moment. Without a secret, which could not be
// opened, no code of the app is looked at: those of an empty one anybody can compute.
func (f factor) judge(secret totpSecret, given string, now time.Time) (proof, verdict) {
	given = strings.TrimSpace(given)
	if given == "" {
		return proof{}, codeMissing
	}
	if hash := recoveryHash(given); hash != nil {
		return proof{recovery: hash}, codeGood
	}
	if f.WrongCodes >= maxWrongCodes || len(secret) == 0 {
		return proof{}, codeLocked
	}
	step := secret.match(strings.ReplaceAll(given, " ", ""), now)
	switch {
	case step == 0:
		return proof{}, codeWrong
	case step <= f.LastStep:
		return proof{}, codeUsed
	}
	return proof{step: step}, codeGood
}
