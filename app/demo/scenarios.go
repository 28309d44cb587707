package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/patch"
)

// history creates the records of the demo practice and executes the scenarios of its
// authorizations, each at its own time.
func (p Practice) history(own context.Context) error {
	staff, err := p.practitioners(own)
	if err != nil {
		return err
	}
	coverage, err := p.patients(own)
	if err != nil {
		return err
	}
	if err := p.links(own, staff, coverage); err != nil {
		return err
	}
	codes, err := p.codes(own)
	if err != nil {
		return err
	}
	if err := p.claimData(own, coverage, codes); err != nil {
		return err
	}
	for _, s := range scenarios {
		t := &scenarioRun{p: p, ctx: own, coverage: coverage[s.patient], code: codes[s.code], staff: staff}
		if err := t.play(s); err != nil {
			return err
		}
	}
	if err := p.openClinic(own, staff, coverage, codes); err != nil {
		return err
	}
	if err := p.notes(own, staff["Tom"], codes["97153"]); err != nil {
		return err
	}
	if err := p.exports(own); err != nil {
		return err
	}
	return p.administration(own, staff, coverage)
}

// practitioners creates the practitioners, and returns their ids by first name.
func (p Practice) practitioners(own context.Context) (map[string]uuid.UUID, error) {
	ids := map[string]uuid.UUID{}
	for i, n := range p.credentialed() {
		n.NPI, n.TaxonomyCode = npi(i), new("106S00000X") // a behavior technician
		if n.Credentials[0].Code != "RBT" {
			n.TaxonomyCode = new("103K00000X") // a behavior analyst
		}
		created, err := p.Directory.CreatePractitioner(own, n)
		if err != nil {
			return nil, err
		}
		ids[n.FirstName] = created.ID
	}
	return ids, nil
}

// coverage is a patient and their insurance.
type coverage struct{ patient, insurance uuid.UUID }

func (p Practice) patients(own context.Context) ([]coverage, error) {
	var ids []uuid.UUID
	for _, n := range payers {
		payer, err := p.Directory.CreatePayer(own, n)
		if err != nil {
			return nil, err
		}
		ids = append(ids, payer.ID)
	}
	var created []coverage
	for i, n := range children() {
		patient, err := p.Directory.CreatePatient(own, n)
		if err != nil {
			return nil, err
		}
		insurance, err := p.Directory.CreateInsurance(own, directory.NewInsurance{
			PatientID: patient.ID, PayerID: ids[i/2%len(ids)],
			MemberNumber: fmt.Sprintf("M-%09d", 100200301+i), StartsOn: calendar.NewDate(2024, time.January, 1),
			Relationship: new(directory.Self),
		})
		if err != nil {
			return nil, err
		}
		created = append(created, coverage{patient.ID, insurance.ID})
	}
	return created, nil
}

// scenario is the history of one authorization. Days are relative to today; past days are
// negative.
type scenario struct {
	patient    int
	code       string
	number     string
	units      int
	start, end int
	status     authorization.Status
	steps      []step
}

// step is an operation on a day.
type step struct {
	day int
	do  func(t *scenarioRun, s *authorization.Service) error
}

// scenarios leave an authorization in every state.
var scenarios = []scenario{
	// Active, well used.
	{0, "97153", "AUTH-2001", 480, -90, 91, authorization.Active, sessions(-60, 12, 8, 4)},
	// Active, adjusted.
	{0, "97155", "AUTH-2002", 48, -90, 91, authorization.Active, append(sessions(-60, 3, 4, 1),
		step{-10, raise(64, "The payer added units after a review.")})},
	// Expired, units unused.
	{1, "97153", "AUTH-1990", 240, -200, -20, authorization.Active, sessions(-180, 20, 8, 0)},
	// Exhausted: all used or booked.
	{1, "97153", "AUTH-2010", 24, -19, 160, authorization.Active, append(sessions(-15, 3, 8, 1), step{0, book(1, 2)})},
	// Upcoming.
	{1, "97156", "AUTH-2011", 24, 14, 195, authorization.Active, nil},
	// Pending, without a number yet.
	{2, "97151", "", 32, -3, 90, authorization.Pending, nil},
	// Cancelled.
	{2, "97153", "AUTH-2020", 200, -40, 140, authorization.Active, append(sessions(-35, 4, 6, 0), step{-5, cancelTerms})},
	// Active, with appointments and a hold.
	{2, "97153", "AUTH-2021", 160, -4, 176, authorization.Active, append(visits, step{0, hold(8, 30*24*time.Hour)})},
	// A renewal: bookings can move to it.
	{2, "97153", "AUTH-2022", 160, 2, 180, authorization.Active, nil},
}

// sessions returns n sessions of some units each, two days apart. Each is reserved
// three days ahead. Then it is used, the second one in part, and the third cancelled.
// Further ones are reserved for the days to come.
func sessions(from, n, units, ahead int) []step {
	var steps []step
	for i := range n {
		day := from + 2*i
		steps = append(steps, step{day - 3, book(units, day)}, step{day, settle(i, units)})
	}
	for i := range ahead {
		steps = append(steps, step{0, book(units, 1+i)})
	}
	return steps
}

// scenarioRun is the state of a scenario while its steps are executed.
type scenarioRun struct {
	p        Practice
	ctx      context.Context
	coverage coverage
	code     uuid.UUID
	staff    map[string]uuid.UUID // by first name
	id       uuid.UUID
	now      time.Time   // time of the current event
	open     []uuid.UUID // reservations, oldest first
	booked   []uuid.UUID // appointments, oldest first
}

func (t *scenarioRun) play(s scenario) error {
	on := func(day int) time.Time { return t.p.Now.AddDate(0, 0, day) }
	today := calendar.DateIn(t.p.Now, time.UTC)
	entered := min(s.start-7, -1)
	n := authorization.NewAuthorization{
		PatientID: t.coverage.patient, ServiceCodeID: t.code, InsuranceID: &t.coverage.insurance, TotalUnits: s.units,
		StartDate: today.AddDays(s.start), EndDate: today.AddDays(s.end), Status: s.status,
	}
	if s.number != "" {
		n.AuthNumber = &s.number
	}
	v, err := t.p.ledger(on(entered)).Create(t.ctx, n)
	if err != nil {
		return err
	}
	t.id = v.ID
	steps := slices.Clone(s.steps)
	slices.SortStableFunc(steps, func(a, b step) int { return a.day - b.day })
	for _, e := range steps {
		t.now = on(e.day)
		if err := e.do(t, t.p.ledger(on(e.day))); err != nil {
			return err
		}
	}
	return nil
}

func book(units, day int) func(*scenarioRun, *authorization.Service) error {
	return func(t *scenarioRun, s *authorization.Service) error {
		on := calendar.DateIn(t.p.Now, time.UTC).AddDays(day)
		outcome, err := s.Reserve(t.ctx, t.id, authorization.NewReservation{Units: units, ServiceDate: on}, "")
		if err == nil {
			t.open = append(t.open, outcome.Reservations[0].ID)
		}
		return err
	}
}

func hold(units int, length time.Duration) func(*scenarioRun, *authorization.Service) error {
	return func(t *scenarioRun, s *authorization.Service) error {
		_, err := s.Reserve(t.ctx, t.id, authorization.NewReservation{
			Units: units, HoldFor: length, Reference: new("held while the family decides"),
		}, "")
		return err
	}
}

// settle ends the oldest open reservation: the third of each six is cancelled, the
// second used in part, the others used whole.
func settle(i, units int) func(*scenarioRun, *authorization.Service) error {
	return func(t *scenarioRun, s *authorization.Service) (err error) {
		n := authorization.Settlement{ReservationID: &t.open[0]}
		t.open = t.open[1:]
		switch i % 6 {
		case 2:
			n.Reason = new("The family called off.")
			_, err = s.Release(t.ctx, t.id, n, "")
		case 1:
			n.Units = units - 1
			_, err = s.Consume(t.ctx, t.id, n, "")
		default:
			_, err = s.Consume(t.ctx, t.id, n, "")
		}
		return err
	}
}

func raise(total int, reason string) func(*scenarioRun, *authorization.Service) error {
	return func(t *scenarioRun, s *authorization.Service) error {
		_, err := s.Change(administrator(t.ctx), t.id, authorization.Change{TotalUnits: patch.Set(total), Reason: &reason})
		return err
	}
}

func cancelTerms(t *scenarioRun, s *authorization.Service) error {
	_, err := s.Change(t.ctx, t.id, authorization.Change{Status: patch.Set(authorization.Cancelled)})
	return err
}
