package directory_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
	"omnirapeutic/platform/telemetry/logtest"
)

// practice holds the records to which bookings of one organization refer.
type practice struct {
	id                                     uuid.UUID
	today                                  calendar.Date
	code, practitioner, patient, insurance record.Key
	retired, former, inactive              record.Key // a code, a practitioner and a patient
	payer                                  directory.Payer
}

// equip creates the records. The payer rounds down until a week from today, and then by the
// midpoint.
func (r register) equip(t testing.TB, own context.Context) practice {
	t.Helper()
	caller, err := identity.From(own)
	require.NoError(t, err)
	p := practice{id: caller.OrganizationID, today: calendar.NewDate(2026, time.March, 2)}
	key := func(id uuid.UUID, err error) record.Key {
		require.NoError(t, err)
		return record.Of(p.id, id)
	}
	code := func(n directory.NewServiceCode) record.Key {
		made, err := r.CreateServiceCode(own, n)
		return key(made.ID, err)
	}
	practitioner := func(n directory.NewPractitioner) record.Key {
		made, err := r.CreatePractitioner(own, n)
		return key(made.ID, err)
	}
	patient := func(n directory.NewPatient) record.Key {
		made, err := r.CreatePatient(own, n)
		return key(made.ID, err)
	}
	p.code = code(directory.NewServiceCode{
		Code: "97155", Description: "Protocol modification", RequiredCredentials: []string{"BCaBA", "BCBA"},
	})
	p.retired = code(directory.NewServiceCode{Code: "H2019", Description: "Old", UnitMinutes: 60, Active: new(false)})
	p.practitioner = practitioner(directory.NewPractitioner{FirstName: "Grace", LastName: "Example", Credentials: []directory.CredentialBody{
		{Code: "RBT", ExpiresOn: p.today}, {Code: "BCBA"},
	}})
	p.former = practitioner(directory.NewPractitioner{FirstName: "Mary", LastName: "Example", Status: directory.Inactive})
	p.patient = patient(ada())
	left := ada()
	left.Status = directory.Inactive
	p.inactive = patient(left)
	p.payer, err = r.CreatePayer(own, directory.NewPayer{Name: "Example Health", Rounding: scheduling.RoundDown})
	require.NoError(t, err)
	p.payer, err = r.ChangePayer(own, directory.PayerChange{
		ID: p.payer.ID, Rounding: patch.Set(scheduling.RoundMidpoint), RoundingFrom: patch.Set(p.today.AddDays(7)),
	})
	require.NoError(t, err)
	insurance, err := r.CreateInsurance(own, directory.NewInsurance{
		PatientID: p.patient.ID, PayerID: p.payer.ID, MemberNumber: "M-1", StartsOn: born,
	})
	p.insurance = key(insurance.ID, err)
	return p
}

// rules runs the question in a transaction, without a caller.
func (r register) rules(t testing.TB, q scheduling.Query) scheduling.Rules {
	t.Helper()
	rules, err := db.Serializable(t.Context(), r.database, "test", func(ctx context.Context) (scheduling.Rules, error) {
		return r.SchedulingRules(ctx, q)
	}, db.AllOrganizations())
	require.NoError(t, err)
	return rules
}

func (p practice) covered(on calendar.Date) scheduling.Coverage {
	return scheduling.Coverage{OrganizationID: p.id, InsuranceID: p.insurance.ID, ServiceDate: on}
}

// question asks for all records of the practice, some of them twice.
func (p practice) question() scheduling.Query {
	return scheduling.Query{
		ServiceCodes:  []record.Key{p.code, p.retired, p.code},
		Practitioners: []record.Key{p.practitioner, p.former, p.practitioner},
		Patients:      []record.Key{p.patient, p.inactive, p.patient},
		Coverages: []scheduling.Coverage{
			p.covered(p.today), p.covered(p.today.AddDays(6)), p.covered(p.today.AddDays(7)), p.covered(p.today),
			{OrganizationID: p.id, ServiceDate: p.today},
		},
	}
}

// and combines two questions.
func and(a, b scheduling.Query) scheduling.Query {
	return scheduling.Query{
		ServiceCodes: append(a.ServiceCodes, b.ServiceCodes...), Practitioners: append(a.Practitioners, b.Practitioners...),
		Patients: append(a.Patients, b.Patients...), Coverages: append(a.Coverages, b.Coverages...),
	}
}

func TestSchedulingRules(t *testing.T) {
	t.Parallel()
	r := open(t)
	own, other := r.equip(t, r.own), r.equip(t, r.other)
	_, err := r.ChangeOrganization(r.other, directory.OrganizationChange{
		ID: other.id, LateCancelHours: patch.Set(0), NoShowConsumes: patch.Set(true),
	})
	require.NoError(t, err)
	_, err = r.ReplaceServicePairs(r.other, directory.ServicePairsChange{Pairs: []directory.ServicePairBody{}})
	require.NoError(t, err)
	rules := r.rules(t, and(own.question(), other.question()))

	for name, p := range map[string]practice{"own": own, "other": other} {
		t.Run("it returns all requested rules of the"+name, func(t *testing.T) {
			require.Equal(t, scheduling.ServiceCode{
				Code: "97155", Track: scheduling.Supervision, UnitMinutes: 15, RequiredCredentials: []string{"BCBA", "BCaBA"},
				Active: true,
			}, rules.ServiceCodes[p.code])
			require.Equal(t, scheduling.ServiceCode{
				Code: "H2019", Track: scheduling.Direct, UnitMinutes: 60, RequiredCredentials: []string{}, Active: false,
			}, rules.ServiceCodes[p.retired])
			require.Equal(t, scheduling.Practitioner{Name: "Grace Example", Active: true, Credentials: []scheduling.Credential{
				{Code: "BCBA"}, {Code: "RBT", ExpiresOn: p.today},
			}}, rules.Practitioners[p.practitioner])
			require.Equal(t, scheduling.Practitioner{
				Name: "Mary Example", Active: false, Credentials: []scheduling.Credential{},
			}, rules.Practitioners[p.former])
			require.Equal(t, scheduling.Patient{Active: true}, rules.Patients[p.patient])
			require.Equal(t, scheduling.Patient{Active: false}, rules.Patients[p.inactive])
		})
		t.Run("it returns the rounding rule of the service date of the"+name, func(t *testing.T) {
			rule := func(from calendar.Date, method scheduling.Rounding) scheduling.PayerRules {
				return scheduling.PayerRules{PayerID: p.payer.ID, RoundingRule: scheduling.RoundingRule{
					StartsOn: from, Method: method, Basis: scheduling.EachSession,
				}, Modifiers: []scheduling.ModifierRule{}}
			}
			down := rule(scheduling.Always, scheduling.RoundDown)
			require.Equal(t, down, rules.Payers[p.covered(p.today)])
			require.Equal(t, down, rules.Payers[p.covered(p.today.AddDays(6))])
			require.Equal(t, rule(p.today.AddDays(7), scheduling.RoundMidpoint),
				rules.Payers[p.covered(p.today.AddDays(7))])
			require.Equal(t, scheduling.PayerRules{RoundingRule: scheduling.DefaultRounding},
				rules.Payers[scheduling.Coverage{OrganizationID: p.id, ServiceDate: p.today}], "without an insurance")
		})
	}
	require.Len(t, rules.ServiceCodes, 4)
	require.Len(t, rules.Practitioners, 4)
	require.Len(t, rules.Patients, 4)
	require.Len(t, rules.Payers, 8)
	require.Equal(t, map[uuid.UUID]scheduling.Organization{
		own.id: {
			TimeZone: "America/New_York", LateCancelHours: 24, EarlyStartMinutes: 30,
			ConfirmLengthFactor: 2, Pairs: map[scheduling.Pair]bool{{Code: "97153", OtherCode: "97155"}: true},
		},
		other.id: {
			TimeZone: "America/New_York", LateCancelHours: 0, NoShowConsumes: true,
			EarlyStartMinutes: 30, ConfirmLengthFactor: 2, Pairs: map[scheduling.Pair]bool{},
		},
	}, rules.Organizations)
	require.True(t, rules.Organizations[own.id].MayOverlap("97155", "97153"))
	require.False(t, rules.Organizations[own.id].MayOverlap("97155", "97156"))
	require.False(t, rules.Organizations[other.id].MayOverlap("97153", "97155"))

	t.Run("it does not see other organizations or other kinds of records", func(t *testing.T) {
		foreign := func(k record.Key) record.Key { return record.Of(other.id, k.ID) }
		none := r.rules(t, scheduling.Query{
			ServiceCodes:  []record.Key{foreign(own.code), own.patient},
			Practitioners: []record.Key{foreign(own.practitioner), own.code},
			Patients:      []record.Key{foreign(own.patient), own.practitioner},
			Coverages: []scheduling.Coverage{
				{OrganizationID: other.id, InsuranceID: own.insurance.ID, ServiceDate: own.today},
				{OrganizationID: own.id, InsuranceID: own.payer.ID, ServiceDate: own.today},
			},
		})
		require.Empty(t, none.ServiceCodes)
		require.Empty(t, none.Practitioners)
		require.Empty(t, none.Patients)
		require.Empty(t, none.Payers)
		require.Len(t, none.Organizations, 2)
		nowhere := r.rules(t, scheduling.Query{Patients: []record.Key{{OrganizationID: newID(), ID: own.patient.ID}}})
		require.Empty(t, nowhere.Patients)
		require.Empty(t, nowhere.Organizations)
	})
	t.Run("it returns nothing for an empty question", func(t *testing.T) {
		require.Empty(t, r.rules(t, scheduling.Query{}).Organizations)
	})
	t.Run("it fails without a transaction", func(t *testing.T) {
		_, err := r.SchedulingRules(r.own, own.question())
		require.ErrorIs(t, err, db.ErrNoTransaction)
	})
}

func TestSchedulingRulesOfManyBookingsTakeOneStatement(t *testing.T) {
	t.Parallel()
	logger, log := logtest.Recorder()
	r := open(t, func(c *db.Config) { c.SlowQuery, c.Logger = 1, logger })
	own, other := r.equip(t, r.own), r.equip(t, r.other)
	q := scheduling.Query{}
	for range 50 {
		q = and(q, and(own.question(), other.question()))
	}
	for i := range 100 { // and many different keys
		q.Coverages = append(q.Coverages, own.covered(own.today.AddDays(i)), other.covered(other.today.AddDays(-i)))
		q.Patients = append(q.Patients, record.Of(own.id, newID()))
	}
	log.Reset()
	rules := r.rules(t, q)
	statements := 0
	for _, entry := range log.AllEntries() {
		if entry.Data["event"] == "slow_statement" && entry.Data["count"] == nil { // not a summary of repeats
			statements++
		}
	}
	require.Equal(t, 1, statements)
	require.Len(t, rules.Payers, 204, "101 and 103 of which the days or insurances differ")
	require.Len(t, rules.Patients, 4)
}

func TestSchedulingRulesLockNoTable(t *testing.T) {
	t.Parallel()
	r := open(t)
	own, other := r.equip(t, r.own), r.equip(t, r.other)
	locked, err := db.Serializable(t.Context(), r.database, "test", func(ctx context.Context) ([]string, error) {
		if _, err := r.SchedulingRules(ctx, and(own.question(), other.question())); err != nil {
			return nil, err
		}
		tx, err := db.Handle(ctx)
		if err != nil {
			return nil, err
		}
		var locked []string
		err = tx.Raw(`
			SELECT locktype || ' ' || relation::regclass::text FROM pg_locks
			WHERE mode = 'SIReadLock' AND virtualtransaction = ( -- without locks that an earlier transaction has left
				SELECT virtualtransaction FROM pg_locks WHERE locktype = 'virtualxid' AND pid = pg_backend_pid())
			ORDER BY 1`).Scan(&locked).Error
		return locked, err
	}, db.AllOrganizations())
	require.NoError(t, err)
	require.Contains(t, locked, "page payer_rounding_rules_pkey", "the locks are visible")
	const tables = "organizations|service_codes|service_code_credentials|practitioners|practitioner_credentials|patients|" +
		"insurances|payers|locations|payer_rounding_rules|service_pairs"
	for _, lock := range locked { // a page replaces several tuples; no relation, and no other index
		require.Regexp(t, "^(tuple|page) ("+tables+")(_pkey)?$", lock)
	}
}
