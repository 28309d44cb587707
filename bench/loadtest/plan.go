package loadtest

import "math/rand/v2"

// step is the next request of a client.
type step struct {
	kind        kind
	account     *account
	reservation string // reservation to release or consume, or appointment to cancel or complete
}

// planner decides the next step of one client, and receives its outcome with the
// created reservation, if any. Not safe for concurrent use.
type planner interface {
	next() step
	observe(s step, v verdict, reservation string)
	wantsReservations() bool // whether it uses created reservations
}

// newPlanner returns the planner of the client with the given number. The same number
// makes the same choices in every run.
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
		return &mixing{accounts: accounts[:1], random: random} // every fifth client works on the same authorization
	default:
		return &mixing{accounts: accounts[1:], random: random}
	}
}

// repeating repeats one operation on its accounts.
type repeating struct {
	kind     kind
	accounts []*account
	random   *rand.Rand
}

func (r *repeating) next() step {
	return step{kind: r.kind, account: r.accounts[r.random.IntN(len(r.accounts))]}
}

func (*repeating) observe(step, verdict, string) {}

func (*repeating) wantsReservations() bool { return false }

// mixing reserves, releases and consumes its own reservations, so that the server must
// accept each request. It draws from a shuffled hand of ten, so that the shares are
// exact.
type mixing struct {
	accounts []*account
	random   *rand.Rand
	hand     []kind
	held     []step // open reservations
}

var tenRequests = []kind{reserve, reserve, reserve, reserve, reserve, reserve, reserve, release, release, consume}

func (m *mixing) next() step {
	if len(m.hand) == 0 {
		m.hand = append(m.hand, tenRequests...)
		m.random.Shuffle(len(m.hand), func(i, j int) { m.hand[i], m.hand[j] = m.hand[j], m.hand[i] })
	}
	last := len(m.hand) - 1
	if len(m.held) == 0 {
		m.moveReserveTo(last)
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

// moveReserveTo moves a reserve to the given index, because there is nothing to settle
// yet.
func (m *mixing) moveReserveTo(index int) {
	for i, k := range m.hand {
		if k == reserve {
			m.hand[i], m.hand[index] = m.hand[index], m.hand[i]
			return
		}
	}
	m.hand[index] = reserve // only when reserves failed
}

func (m *mixing) observe(s step, v verdict, reservation string) {
	switch {
	case s.kind == reserve && v.outcome == accepted:
		m.held = append(m.held, step{account: s.account, reservation: reservation})
	case s.kind != reserve && v.outcome != accepted && !v.unknown:
		m.held = append(m.held, s) // the request had no effect, so the reservation is still open
	}
}

func (*mixing) wantsReservations() bool { return true }
