package signin

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/mfa"
	"omnirapeutic/modules/rbac/throttle"
)

// credentials are an account with the second factor.
type credentials struct {
	account.Account

	factor mfa.Factor
}

// attempt is one attempt to sign in, with the candidate accounts.
type attempt struct {
	counter    []byte // of failed attempts with the address
	candidates []candidate
	noAccount  []byte // replaces an account's counter if there are no candidates
}

// candidate is an account that an attempt to sign in may mean.
type candidate struct {
	credentials

	index   int    // among all accounts of the address
	counter []byte // of failed attempts at this account
	refused string // why the account refuses the attempt, for the trail; "": it does not
}

// Reasons for refused sign-ins. [rbac.User.RefusalReason] returns the reasons for disabled users.
const (
	refusedPassword = "password"
	refusedDelayed  = "delayed"
)

// newAttempt returns the attempt with the typed text as the address, and with the accounts of the
// organization, or of all organizations if it is nil.
//
// Failures are counted twice: for the address, which callers see, and for each account. A person
// may control one account of an address and guess the password of another. Their own successful
// sign-ins reset the first count but not the second.
//
// Both are counted by source. An administrator's unlock restarts the counts of the address and of
// the account in their organization. The counts of the address's other accounts continue, so an
// administrator cannot reset them from another organization. The address's counter does not depend on
// the organization of the attempt, or answers would reveal which account was unlocked.
func newAttempt(
	counters throttle.Counters, from source, typed string, accounts []credentials, organization *uuid.UUID, now time.Time,
) attempt {
	var a attempt
	var unlocks []string
	for i, c := range accounts {
		unlock := unlockKey(c.User, now)
		if unlock != "" {
			unlocks = append(unlocks, unlock)
		}
		if organization != nil && *organization != c.User.OrganizationID {
			continue
		}
		counter := counters.Account(c.User.ID, from.countedAt(c.User.ID), unlock)
		a.candidates = append(a.candidates, candidate{credentials: c, index: i, counter: counter})
	}
	a.counter = counters.Address(typed, from.counted, strings.Join(unlocks, " "))
	a.noAccount = counters.NoAccount(typed, from.counted)
	return a
}

// unlockKey identifies the count of attempts at the account since an administrator unlocked it; "":
// the count of the e-mail address, which all accounts of the address share. An unlock applies for as
// long as the attempts before it would count. So an administrator restarts only the counts of their
// own organization's account.
func unlockKey(u rbac.User, now time.Time) string {
	if u.UnlockedAt == nil || now.Sub(*u.UnlockedAt) >= throttle.ForgetAfter {
		return ""
	}
	return u.OrganizationID.String() + " " + strconv.FormatInt(u.UnlockedAt.UnixMicro(), 10)
}

// counters returns the counter of the address, and at least one of an account.
func (a attempt) counters() [][]byte {
	if len(a.candidates) == 0 {
		return [][]byte{a.counter, a.noAccount}
	}
	all := [][]byte{a.counter}
	for _, c := range a.candidates {
		all = append(all, c.counter)
	}
	return all
}

// delay refuses the candidates whose counters are among the given ones. They get the same answer as
// a wrong password, because the answer must not depend on accounts of other organizations.
func (a attempt) delay(counters [][]byte) {
	for i, c := range a.candidates {
		for _, counter := range counters {
			if bytes.Equal(c.counter, counter) {
				a.candidates[i].refused = refusedDelayed
			}
		}
	}
}

// judge refuses disabled candidates and candidates whose password did not match.
func (a attempt) judge(matched []bool) {
	for i, c := range a.candidates {
		switch {
		case c.refused != "":
		case !matched[c.index]:
			a.candidates[i].refused = refusedPassword
		default:
			a.candidates[i].refused = c.User.RefusalReason()
		}
	}
}

// accepting returns the candidates that accept the attempt.
func (a attempt) accepting() (found []candidate) {
	for _, c := range a.candidates {
		if c.refused == "" {
			found = append(found, c)
		}
	}
	return found
}

// refusals returns the candidates that refuse the attempt, or one without an account if there are
// none. If the count of the address delays the attempt, it delays all of them.
func (a attempt) refusals(isDelayed bool) []candidate {
	refused := []candidate{{refused: throttle.ReasonUnknown}}
	if isDelayed {
		refused[0].refused = refusedDelayed
	}
	if len(a.candidates) > 0 {
		refused = a.candidates
	}
	for i := range refused {
		if refused[i].refused == "" {
			refused[i].refused = refusedDelayed
		}
	}
	return refused
}
