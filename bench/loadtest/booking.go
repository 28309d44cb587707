package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// practitioners is how many there are, whom all clients share.
const practitioners = 5

// Appointments are one unit long, and lie in the past, so that they can be
// completed; there is room for more of them than a server is likely to book.
const (
	visitLength = 15 * time.Minute
	visitDays   = 5 * 365
)

// visits are the times at which appointments are booked on an authorization: of the
// practitioner's quarters of an hour each of those who share them has its own, in
// turn, so that every booking is one that the server has to grant. Safe for
// concurrent use.
type visits struct {
	patient, practitioner, code, authorization string

	from  time.Time
	place int64 // among those who share the practitioner
	turns int64 // how many share the practitioner
	taken atomic.Int64
}

// next returns the body of the next booking.
func (v *visits) next() []byte {
	quarter := (v.taken.Add(1)-1)*v.turns + v.place
	start := v.from.Add(time.Duration(quarter) * visitLength)
	return fmt.Appendf(make([]byte, 0, 384), `{"patientId":%q,"practitionerId":%q,"serviceCodeId":%q,"authorizationId":%q,"startTime":%q,"endTime":%q}`,
		v.patient, v.practitioner, v.code, v.authorization, start.Format(time.RFC3339), start.Add(visitLength).Format(time.RFC3339))
}

// prepareVisits makes the practitioners and, for each of the authorizations, a
// patient: one who is booked at the same time as others cannot be the same.
func prepareVisits(ctx context.Context, to servers, o Options, s Scenario, run, code string) ([]*account, error) {
	staff := make([]string, practitioners)
	for i := range staff {
		var made struct {
			ID string `json:"id"`
		}
		if err := to[0].call(ctx, http.MethodPost, "/practitioners", map[string]any{
			"firstName": "Load", "lastName": "Test " + run, "credentials": []string{"RBT", "BCBA"},
		}, &made); err != nil {
			return nil, err
		}
		staff[i] = made.ID
	}
	from := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -visitDays)
	accounts := make([]*account, o.Authorizations)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sideCalls)
	for i := range accounts {
		group.Go(func() error {
			number := fmt.Sprintf("%s-%06d", run, i+1)
			patient, err := makePatient(ctx, to[0], number)
			if err != nil {
				return err
			}
			id, err := makeAuthorization(ctx, to[0], patient, code, "LT-"+number, s.unitsEach(o), visitDays+1)
			if err != nil {
				return err
			}
			if accounts[i], err = newAccount(to, id, s.unitsEach(o)); err != nil {
				return err
			}
			accounts[i].visits = &visits{
				patient: patient, practitioner: staff[i%practitioners], code: code, authorization: id,
				from: from, place: int64(i / practitioners), turns: int64((len(accounts) + practitioners - 1) / practitioners),
			}
			return nil
		})
	}
	return accounts, group.Wait()
}

// visiting books appointments, and completes or cancels those that it has booked,
// as often as it books. It draws from a shuffled hand of ten, which makes the shares exact.
type visiting struct {
	account *account
	random  *rand.Rand
	hand    []kind
	booked  []string // appointments that are open
}

var tenVisits = []kind{book, book, book, book, book, complete, complete, complete, cancel, cancel}

func (v *visiting) next() step {
	if len(v.hand) == 0 {
		v.hand = append(v.hand, tenVisits...)
		v.random.Shuffle(len(v.hand), func(i, j int) { v.hand[i], v.hand[j] = v.hand[j], v.hand[i] })
	}
	last := len(v.hand) - 1
	k := v.hand[last]
	if k != book && len(v.booked) == 0 {
		return step{kind: book, account: v.account} // one more than its share: there is nothing to end
	}
	v.hand = v.hand[:last]
	if k == book {
		return step{kind: book, account: v.account}
	}
	i := v.random.IntN(len(v.booked))
	s := step{kind: k, account: v.account, reservation: v.booked[i]}
	v.booked[i] = v.booked[len(v.booked)-1]
	v.booked = v.booked[:len(v.booked)-1]
	return s
}

func (v *visiting) heard(s step, got verdict, appointment string) {
	switch {
	case s.kind == book && got.outcome == accepted:
		v.booked = append(v.booked, appointment)
	case s.kind != book && got.outcome != accepted && !got.unknown:
		v.booked = append(v.booked, s.reservation) // nothing was done, so it is still open
	}
}

func (*visiting) wantsReservations() bool { return true }

var emptyBody = []byte(`{}`)

// address is where the step is asked for, on the server with the number.
func (s step) address(server int) *url.URL {
	base := s.account.urls[server][s.kind]
	if s.kind != cancel && s.kind != complete {
		return base
	}
	return base.JoinPath(s.reservation, s.kind.String())
}

// made reads what the step has made: a reservation or an appointment.
func (s step) made(answer []byte) (id string, err error) {
	if s.kind == reserve {
		return reservationOf(answer)
	}
	var booked struct {
		ID uuid.UUID `json:"id"`
	}
	if err := json.Unmarshal(answer, &booked); err != nil {
		return "", fmt.Errorf("the answer to a booking is no JSON: %w", err)
	}
	if booked.ID == uuid.Nil {
		return "", errors.New("the answer to a booking names no appointment")
	}
	return booked.ID.String(), nil
}
