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

// practitioners is the number of practitioners, whom all clients share.
const practitioners = 5

// Appointments are one unit long and in the past, so that they can be completed. There
// are more slots than a server is likely to book.
const (
	visitLength = 15 * time.Minute
	visitDays   = 5 * 365
)

// visits are the slots for appointments on an authorization. The authorizations that
// share a practitioner take the practitioner's quarter hours in turn, so that the
// server must accept every booking. Safe for concurrent use.
type visits struct {
	patient, practitioner, code, authorization string

	from    time.Time
	worker  int64 // index among the workers of the practitioner
	workers int64 // number of workers of the practitioner
	taken   atomic.Int64
}

// next returns the body of the next booking.
func (v *visits) next() []byte {
	quarter := (v.taken.Add(1)-1)*v.workers + v.worker
	start := v.from.Add(time.Duration(quarter) * visitLength)
	return fmt.Appendf(make([]byte, 0, 384),
		`{"patientId":%q,"practitionerId":%q,"serviceCodeId":%q,"authorizationId":%q,"startTime":%q,"endTime":%q}`,
		v.patient, v.practitioner, v.code, v.authorization, start.Format(time.RFC3339), start.Add(visitLength).
			Format(time.RFC3339))
}

// prepareVisits creates the practitioners and a patient for each authorization, because
// a patient cannot have two appointments at the same time.
func prepareVisits(ctx context.Context, to servers, o Options, s Scenario, run, code string) ([]*account, error) {
	staff := make([]string, practitioners)
	for i := range staff {
		var created struct {
			ID string `json:"id"`
		}
		if err := to[0].call(ctx, http.MethodPost, "/practitioners", map[string]any{
			"firstName": "Load", "lastName": "Test " + run, "credentials": []string{"RBT", "BCBA"},
		}, &created); err != nil {
			return nil, err
		}
		staff[i] = created.ID
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
				from: from, worker: int64(i / practitioners), workers: int64((len(accounts) + practitioners - 1) / practitioners),
			}
			return nil
		})
	}
	return accounts, group.Wait()
}

// visiting books appointments, and completes or cancels them as often as it books. It draws
// from a shuffled hand of ten, so that the shares are exact.
type visiting struct {
	account *account
	random  *rand.Rand
	hand    []kind
	booked  []string // open appointments
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
		return step{kind: book, account: v.account} // an extra booking, because there is nothing to end
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

func (v *visiting) observe(s step, got verdict, appointment string) {
	switch {
	case s.kind == book && got.outcome == accepted:
		v.booked = append(v.booked, appointment)
	case s.kind != book && got.outcome != accepted && !got.unknown:
		v.booked = append(v.booked, s.reservation) // the request had no effect, so the appointment is still open
	}
}

func (*visiting) wantsReservations() bool { return true }

var emptyBody = []byte(`{}`)

// address returns the URL of the step on the server with the number.
func (s step) address(server int) *url.URL {
	base := s.account.urls[server][s.kind]
	if s.kind != cancel && s.kind != complete {
		return base
	}
	return base.JoinPath(s.reservation, s.kind.String())
}

// created reads the id of the created reservation or appointment.
func (s step) created(answer []byte) (id string, err error) {
	if s.kind == reserve {
		return reservationOf(answer)
	}
	var booked struct {
		ID uuid.UUID `json:"id"`
	}
	if err := json.Unmarshal(answer, &booked); err != nil {
		return "", fmt.Errorf("the answer to a booking is not JSON: %w", err)
	}
	if booked.ID == uuid.Nil {
		return "", errors.New("the answer to a booking has no appointment id")
	}
	return booked.ID.String(), nil
}
