package mfa

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// enrolmentTime is how long a new second factor can be confirmed.
	enrolmentTime = 15 * time.Minute
	// maxWrongCodes limits consecutive wrong codes from all sources, without a time limit. Then only
	// recovery codes are accepted, which are too long to guess. NIST SP 800-63B-4, section 3.2.2,
	// allows at most 100.
	maxWrongCodes = 100
)

// Factor is the second factor of a user. The zero value means that there is none.
type Factor struct {
	OrganizationID uuid.UUID  `gorm:"primaryKey"`
	UserID         uuid.UUID  `gorm:"primaryKey"`
	Secret         []byte     // encrypted
	StartedAt      time.Time  // when enrolment started
	ConfirmedAt    *time.Time // nil: not yet in use
	LastStep       int64      // the step of the last accepted code
	WrongCodes     int        // since the last accepted code
}

// TableName names the table for gorm.
func (Factor) TableName() string { return "second_factors" }

// IsOn reports whether the second factor was confirmed.
func (f Factor) IsOn() bool { return f.ConfirmedAt != nil }

// isStarted reports whether the enrolment can be confirmed.
func (f Factor) isStarted(now time.Time) bool {
	return f.UserID != uuid.Nil && !f.IsOn() && now.Before(f.StartedAt.Add(enrolmentTime))
}

// subject returns the additional data of the encrypted secret, which binds it to the user.
func (f Factor) subject() []byte {
	return append(f.OrganizationID[:len(f.OrganizationID):len(f.OrganizationID)], f.UserID[:]...)
}

// Verdict is the reason for refusing a code, for the audit trail; empty: the code is accepted.
type Verdict string

// The verdicts.
const (
	CodeAccepted Verdict = ""
	codeMissing  Verdict = "code-missing" // no code was given yet, which is no denial
	codeWrong    Verdict = "code"
	codeUsed     Verdict = "code-used"
	codeLocked   Verdict = "code-locked" // codes of the app are refused, see [Factor.judge]
)

// Proof is an accepted code that is not yet used up: the step of an app code, or the hash of a
// recovery code that the database must still confirm.
type Proof struct {
	step     int64
	recovery []byte
}

// Name returns the proof's name in the audit trail; empty: nothing was proven.
func (p Proof) Name() string {
	switch {
	case p.step != 0:
		return "code"
	case p.recovery != nil:
		return "recovery-code"
	}
	return ""
}

// judge checks a code at the given time. Without a secret, because it could not be decrypted, it
// accepts no code of the app: anyone can compute the codes of an empty secret.
func (f Factor) judge(secret totpSecret, given string, now time.Time) (Proof, Verdict) {
	given = strings.TrimSpace(given)
	if given == "" {
		return Proof{}, codeMissing
	}
	if hash := recoveryHash(given); hash != nil {
		return Proof{recovery: hash}, CodeAccepted
	}
	if f.WrongCodes >= maxWrongCodes || len(secret) == 0 {
		return Proof{}, codeLocked
	}
	step := secret.match(strings.ReplaceAll(given, " ", ""), now)
	switch {
	case step == 0:
		return Proof{}, codeWrong
	case step <= f.LastStep:
		return Proof{}, codeUsed
	}
	return Proof{step: step}, CodeAccepted
}
