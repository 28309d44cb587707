package appointments

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

var (
	clinic  = uuid.New()
	ada     = uuid.New() // patients
	ben     = uuid.New()
	jordan  = uuid.New() // practitioners
	robin   = uuid.New()
	retired = uuid.New()
	therapy = uuid.New() // 97153, direct
	advice  = uuid.New() // 97155, supervision, requires a BCBA
	family  = uuid.New() // 97156, caregiver
	zone    = must(time.LoadLocation("America/New_York"))
	noon    = time.Date(2026, time.March, 10, 12, 0, 0, 0, zone)
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func of(id uuid.UUID) record.Key { return record.Of(clinic, id) }

// stage is a clinic before the first booking. Both patients have authorizations for all services,
// with 8 units each.
type stage struct {
	*records
	authorizations map[uuid.UUID]authorization.Authorization // before the first booking
}

// grant changes an authorization, and discards all reservations.
func (s *stage) grant(id uuid.UUID, units int, last calendar.Date) {
	a := s.authorizations[id]
	a.Total, a.EndDate = units, last
	s.authorizations[id] = a
	s.ledger = authorization.NewLedger(s.now, slices.Collect(maps.Values(s.authorizations))...)
}

// available returns the units of an authorization that can be reserved.
func (s *stage) available(id uuid.UUID) int {
	a, _ := s.ledger.Authorization(clinic, id)
	return a.Available()
}

// held returns the reserved units of every authorization that has any.
func (s *stage) held() map[uuid.UUID]int {
	held := map[uuid.UUID]int{}
	for id := range s.authorizations {
		if a, _ := s.ledger.Authorization(clinic, id); a.Scheduled > 0 {
			held[id] = a.Scheduled
		}
	}
	return held
}

// monthEnd is the last day of all authorizations.
var monthEnd = calendar.NewDate(2026, time.March, 31)

func auth(patient, service uuid.UUID) uuid.UUID {
	return uuid.NewSHA1(patient, service[:])
}

func newStage(method scheduling.Rounding) *stage {
	basis := scheduling.EachSession
	if method == scheduling.RoundCMSTotal {
		basis = scheduling.Visit
	}
	return newStageWith(method, basis)
}

func newStageWith(method scheduling.Rounding, basis scheduling.Basis) *stage {
	insurance := uuid.New()
	s := &stage{
		&records{
			now: noon, appointments: map[record.Key]Appointment{}, sessions: map[record.Key]Session{},
			written: map[record.Key]bool{}, occupied: occupied{},
		},
		map[uuid.UUID]authorization.Authorization{},
	}
	s.rules = scheduling.Rules{
		ServiceCodes: map[record.Key]scheduling.ServiceCode{
			of(therapy): {Code: "97153", Track: scheduling.Direct, UnitMinutes: 15},
			of(advice):  {Code: "97155", Track: scheduling.Supervision, UnitMinutes: 15, RequiredCredentials: []string{"BCBA"}},
			of(family):  {Code: "97156", Track: scheduling.Caregiver, UnitMinutes: 15},
		},
		Practitioners: map[record.Key]scheduling.Practitioner{
			of(jordan): {Name: "Jordan Example", Active: true},
			of(robin): {Name: "Robin Example", Active: true, Credentials: []scheduling.Credential{
				{Code: "BCBA", ExpiresOn: calendar.NewDate(2026, time.March, 20)},
			}},
			of(retired): {Name: "Retired Example"},
		},
		Patients: map[record.Key]scheduling.Patient{of(ada): {Active: true}, of(ben): {Active: true}},
		Payers:   map[scheduling.Coverage]scheduling.PayerRules{},
		Organizations: map[uuid.UUID]scheduling.Organization{
			clinic: {
				LateCancelHours: 24, EarlyStartMinutes: 31 * 24 * 60, ConfirmLengthFactor: 10,
				Pairs: map[scheduling.Pair]bool{scheduling.PairOf("97153", "97155"): true},
			},
		},
	}
	for _, patient := range []uuid.UUID{ada, ben} {
		for _, service := range []uuid.UUID{therapy, advice, family} {
			id := auth(patient, service)
			s.authorizations[id] = authorization.Authorization{
				OrganizationID: clinic, ID: id, PatientID: patient, ServiceCodeID: service, InsuranceID: &insurance,
				StartDate: calendar.NewDate(2026, time.January, 1), Decision: authorization.Active,
			}
			s.grant(id, 8, monthEnd)
		}
	}
	for day := 1; day <= 31; day++ {
		on := calendar.NewDate(2026, time.March, day)
		s.rules.Payers[scheduling.Coverage{
			OrganizationID: clinic, InsuranceID: insurance,
			ServiceDate: on,
		}] = scheduling.PayerRules{PayerID: insurance, RoundingRule: scheduling.RoundingRule{
			StartsOn: scheduling.Always, Method: method, Basis: basis,
		}}
	}
	return s
}

// wall returns a span on a day of March 2026, written as 15:00-16:00.
func wall(day int, text string) Span {
	var h1, m1, h2, m2 int
	if _, err := fmt.Sscanf(text, "%d:%d-%d:%d", &h1, &m1, &h2, &m2); err != nil {
		panic(err)
	}
	return Span{time.Date(2026, time.March, day, h1, m1, 0, 0, zone), time.Date(2026, time.March, day, h2, m2, 0, 0, zone)}
}

func requestFor(k kind, appointment uuid.UUID) request {
	r := request{
		kind: k, caller: identity.Caller{
			OrganizationID: clinic, UserID: uuid.New(), Permissions: map[identity.Permission]identity.Scope{
				permission.AppointmentCancel: identity.Organization, permission.AppointmentNoShow: identity.Organization,
			},
		},
		Call: command.Call{OrganizationID: clinic, ID: uuid.New(), CallID: uuid.New()},
		zone: zone, appointment: appointment, session: uuid.New(),
	}
	for range MaxPatients {
		r.reservations = append(r.reservations, uuid.New())
	}
	return r
}

func bookingOf(service uuid.UUID, at Span, practitioners []uuid.UUID, patients ...uuid.UUID) request {
	r := requestFor(book, uuid.New())
	r.booking = Booking{ServiceCodeID: service, Span: at, Practitioners: practitioners}
	for _, p := range patients {
		r.booking.Patients = append(r.booking.Patients, BookedPatient{p, auth(p, service)})
	}
	return r
}

func (s *stage) decides(t *testing.T, r request) verdict {
	t.Helper()
	v, err := s.decide(r)
	require.NoError(t, err)
	return v
}

// accepted runs a request that must be accepted.
func (s *stage) accepted(t *testing.T, r request) Appointment {
	t.Helper()
	v := s.decides(t, r)
	require.Nil(t, v.refusal)
	return v.appointment
}

func codesOf(refusal *fault.Error) []string {
	var codes []string
	for _, r := range refusal.Reasons() {
		codes = append(codes, r.Code)
	}
	return codes
}

func TestBooking(t *testing.T) {
	t.Parallel()
	one := []uuid.UUID{jordan}
	for _, test := range []struct {
		it      string
		before  []request
		booking request
		reasons []string // empty: accepted
	}{
		{"books a free slot", nil, bookingOf(therapy, wall(12, "15:00-16:00"), one, ada), nil},
		{
			"books the slot right after another",
			[]request{bookingOf(therapy, wall(12, "15:00-16:00"), one, ada)},
			bookingOf(therapy, wall(12, "16:00-17:00"), one, ada), nil,
		},
		{
			"books the slot right before another",
			[]request{bookingOf(therapy, wall(12, "15:00-16:00"), one, ada)},
			bookingOf(therapy, wall(12, "14:00-15:00"), one, ada), nil,
		},
		{
			"refuses an overlap of a practitioner by one minute",
			[]request{bookingOf(therapy, wall(12, "15:00-16:00"), one, ada)},
			bookingOf(therapy, wall(12, "15:59-16:59"), one, ben),
			[]string{"practitioner-overlap"},
		},
		{
			"refuses an overlap of a patient in one track",
			[]request{bookingOf(therapy, wall(12, "15:00-16:00"), one, ada)},
			bookingOf(therapy, wall(12, "15:30-16:30"), []uuid.UUID{robin}, ada),
			[]string{"patient-overlap"},
		},
		{
			"lets 97155 run together with 97153",
			[]request{bookingOf(therapy, wall(12, "15:00-16:00"), one, ada)},
			bookingOf(advice, wall(12, "15:30-16:00"), []uuid.UUID{robin}, ada), nil,
		},
		{
			"refuses 97156 together with 97153, which is no service pair",
			[]request{bookingOf(therapy, wall(12, "15:00-16:00"), one, ada)},
			bookingOf(family, wall(12, "15:30-16:00"), []uuid.UUID{robin}, ada),
			[]string{"patient-overlap"},
		},
		{
			"books a group with one technician as one appointment",
			nil, bookingOf(therapy, wall(12, "15:00-16:00"), one, ada, ben), nil,
		},
		{
			"refuses a group because of one patient",
			[]request{bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{robin}, ben)},
			bookingOf(therapy, wall(12, "15:00-16:00"), one, ada, ben),
			[]string{"patient-overlap"},
		},
		{
			"books two technicians with one patient", nil,
			bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{jordan, robin}, ada), nil,
		},
		{
			"refuses two technicians because of one of them",
			[]request{bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{robin}, ben)},
			bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{jordan, robin}, ada),
			[]string{"practitioner-overlap"},
		},
		{
			"refuses a missing credential", nil, bookingOf(advice, wall(12, "15:00-16:00"), one, ada),
			[]string{"credential-missing"},
		},
		{
			"accepts a credential on its last day", nil, bookingOf(advice, wall(20, "15:00-16:00"), []uuid.UUID{robin}, ada),
			nil,
		},
		{
			"refuses a credential the day after", nil, bookingOf(advice, wall(21, "15:00-16:00"), []uuid.UUID{robin}, ada),
			[]string{"credential-missing"},
		},
		{
			"refuses an inactive practitioner", nil, bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{retired}, ada),
			[]string{"practitioner-inactive"},
		},
		{
			"books the last quarter hour of the last day", nil,
			bookingOf(therapy, Span{wall(31, "23:45-23:50").Start, wall(31, "23:45-23:50").Start.Add(15 * time.Minute)}, one,
				ada),
			nil,
		},
		{
			"refuses more units than are available", nil, bookingOf(therapy, wall(12, "12:00-14:01"), one, ada),
			[]string{"insufficient-units"},
		},
		{"books the past, for entries from paper records", nil, bookingOf(therapy, wall(2, "12:00-13:00"), one, ada), nil},
		{
			"reports every broken rule, in order",
			[]request{bookingOf(advice, wall(31, "22:00-23:00"), []uuid.UUID{robin}, ada)},
			bookingOf(
				advice, Span{wall(31, "22:30-22:31").Start, wall(31, "22:30-22:31").Start.Add(3 * time.Hour)},
				[]uuid.UUID{retired, robin}, ada,
			),
			[]string{
				"practitioner-inactive", "credential-missing", "credential-missing", "practitioner-overlap", "patient-overlap",
				"insufficient-units",
			},
		},
	} {
		t.Run("it "+test.it, func(t *testing.T) {
			t.Parallel()
			s := newStage(scheduling.RoundUp)
			for _, r := range test.before {
				if r.booking.ServiceCodeID == advice && r.booking.Start.Day() == 31 { // the credential has expired
					s.rules.Practitioners[of(robin)] = scheduling.Practitioner{
						Active:      true,
						Credentials: []scheduling.Credential{{Code: "BCBA"}},
					}
				}
				s.accepted(t, r)
				s.rules.Practitioners[of(robin)] = newStage(scheduling.RoundUp).rules.Practitioners[of(robin)]
			}
			held := s.held()
			v := s.decides(t, test.booking)
			if test.reasons == nil {
				require.Nil(t, v.refusal)
				for _, p := range v.appointment.Patients {
					require.Positive(t, p.Units)
					held[p.AuthorizationID] += p.Units
				}
				require.Equal(t, held, s.held(), "each patient's units are reserved")
				return
			}
			require.NotNil(t, v.refusal, "must be refused")
			require.Equal(t, test.reasons, codesOf(v.refusal))
			require.Equal(t, test.reasons[0], v.refusal.Code(), "the first reason is the refusal")
			require.Equal(t, held, s.held(), "a refused booking reserves nothing")
			require.NotContains(t, s.appointments, test.booking.key())
		})
	}
}

func TestBookingErrorsNameTheField(t *testing.T) {
	t.Parallel()
	with := func(change func(*Booking)) request {
		r := bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{jordan}, ada)
		change(&r.booking)
		return r
	}
	for field, r := range map[string]request{
		"serviceCodeId":      with(func(b *Booking) { b.ServiceCodeID = uuid.New() }),
		"practitionerId":     with(func(b *Booking) { b.Practitioners = []uuid.UUID{uuid.New()} }),
		"practitionerIds[1]": with(func(b *Booking) { b.Practitioners = append(b.Practitioners, uuid.New()) }),
		"patientId":          with(func(b *Booking) { b.Patients[0].PatientID = uuid.New() }),
		"authorizationId":    with(func(b *Booking) { b.Patients[0].AuthorizationID = auth(ada, advice) }),
		"patients[1].authorizationId": with(func(b *Booking) {
			b.Patients = append(b.Patients, BookedPatient{ben, auth(ada, therapy)})
		}),
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			v := newStage(scheduling.RoundUp).decides(t, r)
			require.ErrorIs(t, v.refusal, fault.ErrInvalid)
			var fields []string
			for _, f := range v.refusal.Details().(fault.Fields).Errors {
				fields = append(fields, f.Field)
			}
			require.Contains(t, fields, field)
		})
	}
}

// TestTransitions compares every transition from every status with the table.
func TestTransitions(t *testing.T) {
	t.Parallel()
	allowed := map[Status][]kind{
		Scheduled: {start, complete, cancel, noShow, reschedule}, InProgress: {complete, cancel, reopen}, Completed: nil,
		Cancelled: {reopen}, NoShow: {reopen},
	}
	ways := map[Status][]kind{
		Scheduled: nil, InProgress: {start}, Completed: {complete}, Cancelled: {cancel},
		NoShow: {noShow},
	}
	for from, can := range allowed {
		for _, k := range []kind{start, reopen, complete, cancel, noShow, reschedule} {
			t.Run(fmt.Sprintf("%s from %s", k, from), func(t *testing.T) {
				t.Parallel()
				s := newStage(scheduling.RoundUp)
				a := s.accepted(t, bookingOf(therapy, wall(10, "11:00-12:00"), []uuid.UUID{jordan}, ada))
				during := noon.Add(-15 * time.Minute)
				for _, step := range ways[from] {
					if s.now = noon; step == start {
						s.now = during
					}
					s.accepted(t, requestFor(step, a.ID))
				}
				if s.now = noon.Add(time.Hour); k == start {
					s.now = during
				}
				r := requestFor(k, a.ID)
				if k == reschedule {
					r.change = Change{End: patch.Set(wall(10, "11:00-12:45").End)}
				}
				v := s.decides(t, r)
				ok := false
				for _, each := range can {
					ok = ok || each == k
				}
				if ok {
					require.Nil(t, v.refusal)
					return
				}
				require.ErrorIs(t, v.refusal, ErrTransition)
				require.Equal(t, from, v.refusal.Details().(Transition).From)
				require.Equal(t, transitions[from], v.refusal.Details().(Transition).Allowed)
			})
		}
	}
	s := newStage(scheduling.RoundUp)
	require.ErrorIs(t, s.decides(t, requestFor(cancel, uuid.New())).refusal, ErrNotFound)
}

func TestReschedule(t *testing.T) {
	t.Parallel()
	change := func(a Appointment, to Span) request {
		r := requestFor(reschedule, a.ID)
		r.change = Change{Start: patch.Set(to.Start), End: patch.Set(to.End)}
		return r
	}
	t.Run("changes the units by the difference, up and down", func(t *testing.T) {
		t.Parallel()
		s := newStage(scheduling.RoundUp)
		a := s.accepted(t, bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{jordan}, ada))
		for _, step := range []struct {
			to    Span
			units int
		}{{wall(12, "15:00-17:00"), 8}, {wall(12, "15:30-16:00"), 2}, {wall(13, "09:00-10:00"), 4}} {
			a = s.accepted(t, change(a, step.to))
			require.Equal(t, step.units, a.Patients[0].Units)
			require.Equal(t, 8-step.units, s.available(auth(ada, therapy)))
		}
		s.accepted(t, requestFor(cancel, a.ID))
		require.Equal(t, 8, s.available(auth(ada, therapy)), "the cancellation releases exactly the held units")
	})
	t.Run("does not conflict with itself, but with others", func(t *testing.T) {
		t.Parallel()
		s := newStage(scheduling.RoundUp)
		a := s.accepted(t, bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{jordan}, ada))
		s.accepted(t, bookingOf(therapy, wall(12, "17:00-18:00"), []uuid.UUID{jordan}, ben))
		a = s.accepted(t, change(a, wall(12, "15:30-16:30")))
		v := s.decides(t, change(a, wall(12, "16:30-17:30")))
		require.ErrorIs(t, v.refusal, ErrPractitionerOverlap)
		require.Equal(t, a, s.appointments[of(a.ID)], "the appointment is unchanged")
	})
	t.Run("frees its old slot, and occupies its new one", func(t *testing.T) {
		t.Parallel()
		s := newStage(scheduling.RoundUp)
		a := s.accepted(t, bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{jordan}, ada))
		s.accepted(t, change(a, wall(13, "15:00-16:00")))
		s.accepted(t, bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{jordan}, ben))
		v := s.decides(t, bookingOf(therapy, wall(13, "15:00-16:00"), []uuid.UUID{jordan}, ben))
		require.Equal(t, a.ID, v.refusal.Details().(PractitionerOverlap).AppointmentID)
	})
	t.Run("requires the current version", func(t *testing.T) {
		t.Parallel()
		s := newStage(scheduling.RoundUp)
		a := s.accepted(t, bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{jordan}, ada))
		r := change(a, wall(12, "16:00-17:00"))
		r.change.Match = `"7"`
		require.ErrorIs(t, s.decides(t, r).refusal, patch.ErrStale)
	})
	t.Run("reports an invalid time, whether start or end was given", func(t *testing.T) {
		t.Parallel()
		s := newStage(scheduling.RoundUp)
		a := s.accepted(t, bookingOf(therapy, wall(12, "15:00-16:00"), []uuid.UUID{jordan}, ada))
		r := requestFor(reschedule, a.ID)
		r.change = Change{Start: patch.Set(wall(12, "16:00-17:00").Start)}
		require.ErrorIs(t, s.decides(t, r).refusal, fault.ErrInvalid)
	})
}

func TestCancelIsLateWithinTheHours(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ahead time.Duration
		late  bool
	}{{25 * time.Hour, false}, {24 * time.Hour, false}, {24*time.Hour - time.Minute, true}, {-time.Hour, true}} {
		s := newStage(scheduling.RoundUp)
		at := noon.Add(test.ahead)
		a := s.accepted(t, bookingOf(therapy, Span{at, at.Add(time.Hour)}, []uuid.UUID{jordan}, ada))
		r := requestFor(cancel, a.ID)
		r.reason = new("ill")
		a = s.accepted(t, r)
		require.Equal(t, test.late, a.LateCancel, "%s before", test.ahead)
		require.Equal(t, r.caller.UserID, *a.CancelledBy)
		require.Equal(t, noon, *a.CancelledAt)
		require.Equal(t, "ill", *a.CancelReason)
	}
}

func TestNoShowReleasesUnlessTheOrganizationConsumes(t *testing.T) {
	t.Parallel()
	for consumes, left := range map[bool]int{false: 8, true: 4} {
		s := newStage(scheduling.RoundUp)
		s.rules.Organizations[clinic] = scheduling.Organization{NoShowConsumes: consumes}
		a := s.accepted(t, bookingOf(therapy, wall(10, "09:00-10:00"), []uuid.UUID{jordan}, ada))
		s.accepted(t, requestFor(noShow, a.ID))
		require.Equal(t, left, s.available(auth(ada, therapy)))
		require.Empty(t, s.held())
		s.accepted(t, bookingOf(therapy, wall(10, "09:00-10:00"), []uuid.UUID{jordan}, ben))
	}
}

func TestNoShowIsRefusedBeforeTheStart(t *testing.T) {
	t.Parallel()
	for _, consumes := range []bool{false, true} {
		s := newStage(scheduling.RoundUp)
		s.rules.Organizations[clinic] = scheduling.Organization{NoShowConsumes: consumes}
		a := s.accepted(t, bookingOf(therapy, wall(11, "09:00-10:00"), []uuid.UUID{jordan}, ada))
		for _, early := range []time.Time{noon, a.Start.Add(-time.Microsecond)} {
			s.now = early
			refusal := s.decides(t, requestFor(noShow, a.ID)).refusal
			require.ErrorIs(t, refusal, ErrNotBegun)
			require.Equal(t, NotBegun{a.Start}, refusal.Details())
			require.Equal(t, a, s.appointments[of(a.ID)], "the appointment is unchanged")
			require.Equal(t, 4, s.available(auth(ada, therapy)), "its units are unchanged")
		}
		s.now = a.Start
		require.Equal(t, NoShow, s.accepted(t, requestFor(noShow, a.ID)).Status)
		s.now = noon
		require.ErrorIs(t, s.decides(t, requestFor(noShow, a.ID)).refusal, ErrTransition, "the status is checked first")
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		it           string
		started      string // on the 10th; "": not started
		completion   string // such as 15:00-16:00 on the 10th; "": not given
		want         Span
		units        int
		unauthorized int
	}{
		{"defaults to the booked time", "", "", wall(10, "10:00-11:00"), 4, 0},
		{"defaults to the recorded start", "10:07", "", wall(10, "10:07-11:00"), 4, 0},
		{"defaults to an early recorded start", "09:40", "", wall(10, "09:40-11:00"), 6, 0},
		{"consumes fewer units for a shorter session", "", "10:00-10:31", wall(10, "10:00-10:31"), 3, 0},
		{"consumes more units for a longer session", "", "10:00-11:30", wall(10, "10:00-11:30"), 6, 0},
		{"reports unauthorized units", "", "09:00-11:45", wall(10, "09:00-11:45"), 11, 3},
	} {
		t.Run("it "+test.it, func(t *testing.T) {
			t.Parallel()
			s := newStage(scheduling.RoundUp)
			a := s.accepted(t, bookingOf(therapy, wall(10, "10:00-11:00"), []uuid.UUID{jordan}, ada))
			if test.started != "" {
				s.now = wall(10, test.started+"-23:00").Start.Add(20 * time.Second)
				s.accepted(t, requestFor(start, a.ID))
				s.now = noon
			}
			r := requestFor(complete, a.ID)
			if test.completion != "" {
				span := wall(10, test.completion)
				r.completion = Completion{Start: &span.Start, End: &span.End}
			}
			v := s.decides(t, r)
			require.Nil(t, v.refusal)
			require.True(t, v.session.Start.Equal(test.want.Start) && v.session.End.Equal(test.want.End), "%v", v.session.Span)
			require.Equal(t, test.units, v.session.Patients[0].Units)
			require.Equal(t, test.unauthorized, v.session.UnauthorizedUnits)
			require.Equal(t, Completed, v.appointment.Status)
			require.Equal(t, v.session.ID, *v.appointment.SessionID)
			require.Empty(t, s.held())
		})
	}
	t.Run("refuses an end in the future", func(t *testing.T) {
		t.Parallel()
		s := newStage(scheduling.RoundUp)
		a := s.accepted(t, bookingOf(therapy, wall(10, "11:30-12:01"), []uuid.UUID{jordan}, ada))
		v := s.decides(t, requestFor(complete, a.ID))
		require.ErrorIs(t, v.refusal, fault.ErrInvalid)
		require.Equal(t, "endTime", v.refusal.Details().(fault.Fields).Errors[0].Field)
		require.Equal(t, 3, s.held()[auth(ada, therapy)])
	})
	t.Run("settles each patient of a group separately", func(t *testing.T) {
		t.Parallel()
		s := newStage(scheduling.RoundUp)
		s.grant(auth(ben, therapy), 4, monthEnd)
		a := s.accepted(t, bookingOf(therapy, wall(10, "10:00-11:00"), []uuid.UUID{jordan}, ada, ben))
		span := wall(10, "10:00-11:30")
		r := requestFor(complete, a.ID)
		r.completion = Completion{End: &span.End}
		v := s.decides(t, r)
		require.Equal(t, 0, v.session.Patients[0].UnauthorizedUnits)
		require.Equal(t, 2, v.session.Patients[1].UnauthorizedUnits)
		require.Equal(t, 2, v.session.UnauthorizedUnits)
	})
	t.Run("reserves no units for too short a time, and consumes them for a longer session", func(t *testing.T) {
		t.Parallel()
		s := newStage(scheduling.RoundDown)
		a := s.accepted(t, bookingOf(therapy, wall(10, "10:00-10:14"), []uuid.UUID{jordan}, ada))
		require.Nil(t, a.Patients[0].ReservationID)
		span := wall(10, "10:00-10:30")
		r := requestFor(complete, a.ID)
		r.completion = Completion{End: &span.End}
		require.Equal(t, 2, s.decides(t, r).session.Patients[0].Units)
		require.Equal(t, 6, s.available(auth(ada, therapy)))
	})
}

func TestUnitsOfAVisitAreRoundedTogether(t *testing.T) {
	t.Parallel()
	s := newStage(scheduling.RoundCMSTotal)
	book := func(service uuid.UUID, at string) Appointment {
		return s.accepted(t, bookingOf(service, wall(12, at), []uuid.UUID{robin}, ada))
	}
	units := func(a Appointment) int { return s.appointments[a.key()].Patients[0].Units }
	first := book(therapy, "09:00-09:07")
	require.Equal(t, 0, units(first))
	second := book(advice, "09:07-09:14")
	require.Equal(t, []int{1, 0}, []int{units(first), units(second)}, "14 minutes are one unit, of the earlier start")
	third := book(family, "09:14-09:21")
	require.Equal(t, []int{1, 0, 0}, []int{units(first), units(second), units(third)}, "and so are 21")
	other := s.accepted(t, bookingOf(therapy, wall(12, "10:00-10:07"), []uuid.UUID{jordan}, ada))
	require.Equal(t, []int{1, 1, 0, 0}, []int{units(first), units(second), units(third), units(other)},
		"28 minutes are two, regardless of the practitioner")
	require.Equal(t, 2, s.held()[auth(ada, therapy)]+s.held()[auth(ada, advice)]+s.held()[auth(ada, family)])

	s.decides(t, requestFor(cancel, first.ID))
	require.Equal(t, []int{1, 0, 0}, []int{units(second), units(third), units(other)}, "21 are left")
}

func TestClockChanges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		it    string
		span  Span
		units int
	}{
		// On 8 March 2026, 02:00 to 03:00 are skipped.
		{"a skipped hour", Span{time.Date(2026, 3, 8, 1, 30, 0, 0, zone), time.Date(2026, 3, 8, 3, 30, 0, 0, zone)}, 4},
		// On 1 November 2026, 01:00 to 02:00 are repeated.
		{"a repeated hour", Span{time.Date(2026, 11, 1, 0, 30, 0, 0, zone), time.Date(2026, 11, 1, 2, 0, 0, 0, zone)}, 10},
	} {
		s := newStage(scheduling.RoundUp)
		s.grant(auth(ada, therapy), 20, calendar.NewDate(2026, time.December, 31))
		a := s.accepted(t, bookingOf(therapy, test.span, []uuid.UUID{jordan}, ada))
		require.Equal(t, test.units, a.Patients[0].Units, test.it)
	}
}

func TestInvalidSpans(t *testing.T) {
	t.Parallel()
	at := wall(12, "15:00-16:00")
	for it, span := range map[string]Span{
		"endTime before":    {at.End, at.Start},
		"endTime same":      {at.Start, at.Start},
		"endTime long":      {at.Start, at.Start.Add(24*time.Hour + time.Minute)},
		"startTime seconds": {at.Start.Add(time.Second), at.End},
		"endTime seconds":   {at.Start, at.End.Add(time.Nanosecond)},
		"startTime year":    {at.Start.AddDate(-1000, 0, 0), at.End},
	} {
		fieldErrors := span.fieldErrors()
		require.Len(t, fieldErrors, 1, it)
		require.Contains(t, it, fieldErrors[0].Field)
	}
	require.Empty(t, Span{at.Start, at.Start.Add(24 * time.Hour)}.fieldErrors())
}

func TestRefusalsNamePractitionersAndGiveLocalTimes(t *testing.T) {
	t.Parallel()
	one := []uuid.UUID{jordan}
	s := newStage(scheduling.RoundUp)
	s.accepted(t, bookingOf(therapy, wall(2, "10:00-11:00"), one, ada))
	s.accepted(t, bookingOf(therapy, Span{wall(3, "23:30-23:45").Start, wall(4, "00:00-00:30").End}, one, ben))
	for name, test := range map[string]struct {
		request request
		texts   []string
	}{
		"practitioner booked with another patient": {
			bookingOf(therapy, wall(2, "10:30-11:30"), one, ben),
			[]string{"Jordan Example is booked from 10:00 to 11:00 with another patient."},
		},
		"practitioner booked across midnight": {
			bookingOf(therapy, wall(4, "00:15-00:45"), one, ada),
			[]string{"Jordan Example is booked from Tuesday, 3 March 2026, 23:30 to Wednesday, 4 March 2026, 00:30 with " +
				"another patient."},
		},
		"both booked": {
			bookingOf(therapy, wall(2, "10:30-11:30"), one, ada),
			[]string{
				"Jordan Example is booked from 10:00 to 11:00 with the same patient.",
				"The patient is booked for 97153 from 10:00 to 11:00, and 97153 cannot take place at the same time.",
			},
		},
		"practitioner inactive": {
			bookingOf(therapy, wall(5, "10:00-11:00"), []uuid.UUID{retired}, ada), []string{"Retired Example is not active."},
		},
	} {
		v := s.decides(t, test.request)
		require.NotNil(t, v.refusal, name)
		var texts []string
		for _, reason := range v.refusal.Reasons() {
			texts = append(texts, reason.Detail)
		}
		require.Equal(t, test.texts, texts, name)
	}
	early := requestFor(noShow, s.accepted(t, bookingOf(therapy, wall(30, "10:00-10:15"), one, ben)).ID)
	require.EqualError(t, s.decides(t, early).refusal,
		"The appointment begins on Monday, 30 March 2026, 10:00, so it cannot be a no-show yet.")
}
