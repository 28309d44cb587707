package rbac

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

// factor is the second factor of a user. The zero value means that there is none.
type factor struct {
	OrganizationID uuid.UUID  `gorm:"primaryKey"`
	UserID         uuid.UUID  `gorm:"primaryKey"`
	Secret         []byte     // encrypted
	BegunAt        time.Time  // when enrolment began
	ConfirmedAt    *time.Time // nil: not yet in use
	LastStep       int64      // the step of the last accepted code
	WrongCodes     int        // since the last accepted code
}

// TableName names the table for gorm.
func (factor) TableName() string { return "second_factors" }

// isOn reports whether the second factor was confirmed.
func (f factor) isOn() bool { return f.ConfirmedAt != nil }

// isBegun reports whether the enrolment can be confirmed.
func (f factor) isBegun(now time.Time) bool {
	return f.UserID != uuid.Nil && !f.isOn() && now.Before(f.BegunAt.Add(enrolmentTime))
}

// about returns the additional data of the encrypted secret, which binds it to the user.
func (f factor) about() []byte {
	return append(f.OrganizationID[:len(f.OrganizationID):len(f.OrganizationID)], f.UserID[:]...)
}

// verdict is the reason for refusing a code, for the audit trail; empty: the code is accepted.
type verdict string

const (
	codeGood    verdict = ""
	codeMissing verdict = "code-missing" // no code was given yet, which is no denial
	codeWrong   verdict = "code"
	codeUsed    verdict = "code-used"
	codeLocked  verdict = "code-locked" // codes of the app are refused: see judge
)

// proof is an accepted code that is not yet used up: the step of an app code, or the hash of a
// recovery code that the database must still confirm.
type proof struct {
	step     int64
	recovery []byte
}

// name returns the proof's name in the audit trail; empty: nothing was proven.
func (p proof) name() string {
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
