package loadtest

import "math/rand/v2"

// step is the next request of a client.
type step struct {
	kind        kind
	account     *account
	reservation string // to release or consume; the appointment to cancel or complete
}

// planner decides what one client does next, and hears how it went. The
// reservation is the one that was made, if one was. Not safe for concurrent use.
type planner interface {
	next() step
	heard(s step, v verdict, reservation string)
	wantsReservations() bool // whether it needs to be told reservations at all
}

// newPlanner returns the plan of the client with the given number. The same
// number makes the same choices in every run.
func newPlanner(s Scenario, accounts []*account, client int) planner {
	random := rand.New(rand.NewPCG(uint64(client), 97153)) //nolint:gosec // a small number
	switch {
	case s.books:
		return &visiting{account: accounts[client%len(accounts)], random: random}
	case s.idle:
		return &repeating{nothing, accounts, random}
	case !s.mixed:
		return &repeating{reserve, accounts, random}
	case client%5 == 0:
		return &mixing{accounts: accounts[:1], random: random} // every fifth client works on the one
	default:
		return &mixing{accounts: accounts[1:], random: random}
	}
}

// repeating does the same on any of its accounts.
type repeating struct {
	kind     kind
	accounts []*account
	random   *rand.Rand
}

func (r *repeating) next() step {
	return step{kind: r.kind, account: r.accounts[r.random.IntN(len(r.accounts))]}
}

func (*repeating) heard(step, verdict, string) {}

func (*repeating) wantsReservations() bool { return false }

// mixing reserves, and releases and consumes reservations of its own, so that
// each request is one that the server has to grant. It draws from a shuffled
// hand of ten, which makes the shares exact.
type mixing struct {
	accounts []*account
	random   *rand.Rand
	hand     []kind
	held     []step // reservations that were made and not settled
}

var tenRequests = []kind{reserve, reserve, reserve, reserve, reserve, reserve, reserve, release, release, consume}

func (m *mixing) next() step {
	if len(m.hand) == 0 {
		m.hand = append(m.hand, tenRequests...)
		m.random.Shuffle(len(m.hand), func(i, j int) { m.hand[i], m.hand[j] = m.hand[j], m.hand[i] })
	}
	last := len(m.hand) - 1
	if len(m.held) == 0 {
		m.bringReserve(last)
	}
	k := m.hand[last]
	m.hand = m.hand[:last]
	if k == reserve {
		return step{kind: reserve, account: m.accounts[m.random.IntN(len(m.accounts))]}
	}
	i := m.random.IntN(len(m.held))
	s := m.held[i]
	m.held[i] = m.held[len(m.held)-1]
	m.held = m.held[:len(m.held)-1]
	s.kind = k
	return s
}

// bringReserve puts a reserve at the given place, as there is nothing to settle yet.
func (m *mixing) bringReserve(place int) {
	for i, k := range m.hand {
		if k == reserve {
			m.hand[i], m.hand[place] = m.hand[place], m.hand[i]
			return
		}
	}
	m.hand[place] = reserve // only when reserves failed
}

func (m *mixing) heard(s step, v verdict, reservation string) {
	switch {
	case s.kind == reserve && v.outcome == accepted:
		m.held = append(m.held, step{account: s.account, reservation: reservation})
	case s.kind != reserve && v.outcome != accepted && !v.unknown:
		m.held = append(m.held, s) // nothing was done, so it is still held
	}
}

func (*mixing) wantsReservations() bool { return true }
