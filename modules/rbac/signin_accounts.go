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

// signInTry is one attempt to sign in, with the accounts that it may mean.
type signInTry struct {
	counter    []byte // of failed attempts with the address
	candidates []candidate
	nobody     []byte // the counter in place of an account's where there are no candidates
}

// candidate is an account that an attempt to sign in may mean.
type candidate struct {
	credentials
	index   int    // among all accounts of the address
	counter []byte // of failed attempts at this account
	refused string // why the account does not accept the attempt, for the trail; "": it does
}

// Reasons of refused sign-ins. Those of users who are out are those of [User.out].
const (
	refusedPassword = "password"
	refusedDelayed  = "delayed"
)

// tryOf returns the attempt with the typed text as the address, and with the accounts of
// the organization, or of all organizations if it is nil.
//
// Failures are counted twice: for the address, which is what callers are told of, and for
// each account. A person may control one account of an address and guess the password of
// another: their own successful sign-ins reset the first count and not the second.
//
// Both are counted by the source. A lift of an administrator begins the counts of the
// address and of the account in their organization anew. Those of the other accounts of
// the address go on, so nobody can reset them from another organization.
func (s *Service) tryOf(from source, typed string, accounts []credentials, organization *uuid.UUID) signInTry {
	var try signInTry
	var lifts []string
	for i, each := range accounts {
		if organization != nil && *organization != each.User.OrganizationID {
			continue
		}
		lift := each.lift(s.now())
		if lift != "" {
			lifts = append(lifts, lift)
		}
		counter := s.throttle.accountCounter(each.User.ID, from.counted, lift)
		try.candidates = append(try.candidates, candidate{credentials: each, index: i, counter: counter})
	}
	try.counter = s.throttle.addressCounter(typed, from.counted, strings.Join(lifts, " "))
	try.nobody = s.throttle.noAccountCounter(typed, from.counted)
	return try
}

// counters returns that of the address, and at least one of an account.
func (t signInTry) counters() [][]byte {
	if len(t.candidates) == 0 {
		return [][]byte{t.counter, t.nobody}
	}
	all := [][]byte{t.counter}
	for _, each := range t.candidates {
		all = append(all, each.counter)
	}
	return all
}

// delay refuses the candidates whose counters are among the given ones. Their answer is
// that of a wrong password: it must not depend on the accounts of other organizations.
func (t signInTry) delay(counters [][]byte) {
	for i, each := range t.candidates {
		for _, counter := range counters {
			if bytes.Equal(each.counter, counter) {
				t.candidates[i].refused = refusedDelayed
			}
		}
	}
}

// judge refuses the candidates whose password was not matched, and those who are out.
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

// refuseAccounts records in the trail of each organization why its account was refused,
// and returns the refusal. The trail of an organization shows nothing of other accounts.
// The text that was typed is recorded nowhere: it may be a password.
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
	Organizations []organizationToChoose `json:"organizations"` // those whose account accepts the password
}

// organizationToChoose is an organization that a person can sign in to.
type organizationToChoose struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"`
}

// askOrganization returns the choice between accounts that all accept the password. It is
// a step of a sign-in, so the attempt no longer counts as a failure. It is in no
// organization's trail: that would show that the person has accounts elsewhere.
func (s *Service) askOrganization(ctx context.Context, try signInTry, accepting []candidate) error {
	counters := [][]byte{try.counter}
	var choice organizationChoice
	for _, each := range accepting {
		counters = append(counters, each.counter)
		choice.Organizations = append(choice.Organizations, organizationToChoose{each.User.OrganizationID, each.Organization})
		s.logger.WithFields(userFields("organization_asked", each.User)).Info("a sign-in goes on with the choice of an organization")
	}
	_, err := db.ReadCommitted(ctx, s.database, "user.choose-organization", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, takeBackAttempt(ctx, counters)
	})
	if err != nil {
		return err
	}
	return ErrOrganizationRequired.With(choice, "%s", ErrOrganizationRequired.Title())
}
