package rbac

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// signInTry is one attempt to sign in, with the candidate accounts.
type signInTry struct {
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

// Reasons for refused sign-ins. [User.out] returns the reasons for disabled users.
const (
	refusedPassword = "password"
	refusedDelayed  = "delayed"
)

// tryOf returns the attempt with the typed text as the address, and with the accounts of the
// organization, or of all organizations if it is nil.
//
// Failures are counted twice: for the address, which callers see, and for each account. A person
// may control one account of an address and guess the password of another. Their own successful
// sign-ins reset the first count but not the second.
//
// Both are counted by source. An administrator's lift restarts the counts of the address and of the
// account in their organization. The counts of the address's other accounts continue, so an
// administrator cannot reset them from another organization. The address's counter does not depend on
// the organization of the attempt, or answers would reveal which account was lifted.
func (s *Service) tryOf(from source, typed string, accounts []credentials, organization *uuid.UUID) signInTry {
	var try signInTry
	var lifts []string
	for i, each := range accounts {
		lift := each.lift(s.now())
		if lift != "" {
			lifts = append(lifts, lift)
		}
		if organization != nil && *organization != each.User.OrganizationID {
			continue
		}
		counter := s.throttle.accountCounter(each.User.ID, from.countedAt(each.User.ID), lift)
		try.candidates = append(try.candidates, candidate{credentials: each, index: i, counter: counter})
	}
	try.counter = s.throttle.addressCounter(typed, from.counted, strings.Join(lifts, " "))
	try.noAccount = s.throttle.noAccountCounter(typed, from.counted)
	return try
}

// counters returns the counter of the address, and at least one of an account.
func (t signInTry) counters() [][]byte {
	if len(t.candidates) == 0 {
		return [][]byte{t.counter, t.noAccount}
	}
	all := [][]byte{t.counter}
	for _, each := range t.candidates {
		all = append(all, each.counter)
	}
	return all
}

// delay refuses the candidates whose counters are among the given ones. They get the same answer as
// a wrong password, because the answer must not depend on accounts of other organizations.
func (t signInTry) delay(counters [][]byte) {
	for i, each := range t.candidates {
		for _, counter := range counters {
			if bytes.Equal(each.counter, counter) {
				t.candidates[i].refused = refusedDelayed
			}
		}
	}
}

// judge refuses disabled candidates and candidates whose password did not match.
func (t signInTry) judge(matched []bool) {
	for i, each := range t.candidates {
		switch {
		case each.refused != "":
		case !matched[each.index]:
			t.candidates[i].refused = refusedPassword
		default:
			t.candidates[i].refused = each.User.out()
		}
	}
}

// accepting returns the candidates that accept the attempt.
func (t signInTry) accepting() (found []candidate) {
	for _, each := range t.candidates {
		if each.refused == "" {
			found = append(found, each)
		}
	}
	return found
}

func hashesOf(accounts []credentials) []string {
	hashes := make([]string, len(accounts))
	for i, each := range accounts {
		hashes[i] = each.Hash
	}
	return hashes
}

// refuseAccounts records in the trail of each organization why its account was refused, and returns
// the refusal. An organization's trail shows nothing of other accounts. The typed text is never
// recorded, because it may be a password.
func (s *Service) refuseAccounts(ctx context.Context, try signInTry, refusal error) error {
	refused := []candidate{{refused: refusedUnknown}}
	if errors.Is(refusal, ErrSignInDelayed) {
		refused[0].refused = refusedDelayed
	}
	if len(try.candidates) > 0 {
		refused = try.candidates
	}
	events := make([]trail.Event, len(refused))
	for i, each := range refused {
		if each.refused == "" { // the count of the address delays all of them
			each.refused = refusedDelayed
		}
		s.logRefusal(ctx, each.User, each.refused)
		events[i] = s.refusalEvent(ctx, each.User, each.refused)
	}
	if err := s.audit.Note(ctx, events); err != nil {
		return err
	}
	return refusal
}

// organizationChoice are the details of [ErrOrganizationRequired].
type organizationChoice struct {
	Organizations []organizationToChoose `json:"organizations"` // with an account that matches the password
}

// organizationToChoose is an organization that a person can sign in to.
type organizationToChoose struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"`
}

// askOrganization returns the choice between accounts that all match the password. It is a step of
// a sign-in, so the attempt does not count as a failure. No organization's trail records it,
// because that would reveal accounts elsewhere.
func (s *Service) askOrganization(ctx context.Context, try signInTry, accepting []candidate) error {
	counters := [][]byte{try.counter}
	var choice organizationChoice
	for _, each := range accepting {
		counters = append(counters, each.counter)
		choice.Organizations = append(choice.Organizations, organizationToChoose{each.User.OrganizationID, each.Organization})
		s.logger.WithFields(userFields("organization_asked", each.User)).Info("sign-in continues with the choice of an organization")
	}
	_, err := db.ReadCommitted(ctx, s.database, "user.choose-organization", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, takeBackAttempt(ctx, counters)
	})
	if err != nil {
		return err
	}
	return ErrOrganizationRequired.With(choice, "%s", ErrOrganizationRequired.Title())
}
