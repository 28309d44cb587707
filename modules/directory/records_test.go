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
	"omnirapeutic/platform/scheduling"
)

var born = calendar.NewDate(2019, time.May, 4)

func ada() directory.NewPatient {
	return directory.NewPatient{FirstName: "Ada", LastName: "Example", DateOfBirth: born}
}

func TestPatient(t *testing.T) {
	t.Parallel()
	r := open(t)

	t.Run("it is read as it was entered", func(t *testing.T) {
		n := ada()
		n.MedicalRecordNumber = new("MRN-1")
		created, err := r.CreatePatient(r.own, n)
		require.NoError(t, err)
		require.Equal(t, directory.Active, created.Status)
		require.Equal(t, 1, created.Version)
		read, err := r.Patient(r.own, created.ID)
		require.NoError(t, err)
		require.True(t, created.CreatedAt.Equal(read.CreatedAt), "in microseconds: %s and %s", created.CreatedAt,
			read.CreatedAt)
		read.CreatedAt, read.UpdatedAt = created.CreatedAt, created.UpdatedAt
		require.Equal(t, created, read)
	})
	t.Run("its record number is unique within the organization", func(t *testing.T) {
		n := ada()
		n.MedicalRecordNumber = new("MRN-2")
		_, err := r.CreatePatient(r.own, n)
		require.NoError(t, err)
		_, err = r.CreatePatient(r.own, n)
		require.ErrorIs(t, err, directory.ErrMedicalRecordNumberTaken)
		_, err = r.CreatePatient(r.other, n)
		require.NoError(t, err)

		without, err := r.CreatePatient(r.own, ada())
		require.NoError(t, err)
		_, err = r.ChangePatient(r.own,
			directory.PatientChange{ID: without.ID, MedicalRecordNumber: patch.SetClearable("MRN-2")})
		require.ErrorIs(t, err, directory.ErrMedicalRecordNumberTaken)
	})
	t.Run("only one of many concurrent requests creates it", func(t *testing.T) {
		n := ada()
		n.MedicalRecordNumber = new("MRN-9")
		const times = 8
		errs := make(chan error, times)
		for range times {
			go func() {
				_, err := r.CreatePatient(r.own, n)
				errs <- err
			}()
		}
		entered := 0
		for range times {
			if err := <-errs; err == nil {
				entered++
			} else {
				require.ErrorIs(t, err, directory.ErrMedicalRecordNumberTaken)
			}
		}
		require.Equal(t, 1, entered)
	})
	t.Run("it is born between 1900 and today", func(t *testing.T) {
		for day, valid := range map[calendar.Date]bool{
			calendar.NewDate(1899, time.December, 31): false,
			calendar.NewDate(1900, time.January, 1):   true,
			calendar.NewDate(2026, time.March, 2):     true,
			calendar.NewDate(2026, time.March, 3):     false, // already that date elsewhere, but not in the organization's zone
		} {
			n := ada()
			n.DateOfBirth = day
			_, err := r.CreatePatient(r.own, n)
			if valid {
				require.NoError(t, err)
				continue
			}
			require.Equal(t, []string{"dateOfBirth"}, wrongFields(t, err))
		}
	})
	t.Run("its version counts changes only", func(t *testing.T) {
		created, err := r.CreatePatient(r.own, ada())
		require.NoError(t, err)
		r.clock.advance(time.Minute)
		same, err := r.ChangePatient(r.own, directory.PatientChange{ID: created.ID, FirstName: patch.Set("Ada")})
		require.NoError(t, err)
		require.Equal(t, 1, same.Version)
		changed, err := r.ChangePatient(r.own, directory.PatientChange{
			ID: created.ID, LastName: patch.Set("Exemplar"), Status: patch.Set(directory.Inactive),
			MedicalRecordNumber: patch.SetClearable("MRN-3"),
		})
		require.NoError(t, err)
		require.Equal(t, 2, changed.Version)
		require.True(t, changed.UpdatedAt.After(created.UpdatedAt))
		read, err := r.Patient(r.own, created.ID)
		require.NoError(t, err)
		require.Equal(t, "Exemplar", read.LastName)
		require.Equal(t, "Ada", read.FirstName)
		require.Equal(t, directory.Inactive, read.Status)
		require.Equal(t, "MRN-3", *read.MedicalRecordNumber)
		require.True(t, read.CreatedAt.Equal(created.CreatedAt))
		cleared, err := r.ChangePatient(r.own,
			directory.PatientChange{ID: created.ID, MedicalRecordNumber: patch.Clear[string]()})
		require.NoError(t, err)
		require.Nil(t, cleared.MedicalRecordNumber)
	})
	t.Run("its version counts concurrent changes", func(t *testing.T) {
		created, err := r.CreatePatient(r.own, ada())
		require.NoError(t, err)
		const n = 8
		errs := make(chan error, n)
		for i := range n {
			go func() {
				_, err := r.ChangePatient(r.own,
					directory.PatientChange{ID: created.ID, FirstName: patch.Set(string(rune('A' + i)))})
				errs <- err
			}()
		}
		changed := 1
		for range n {
			err := <-errs
			if err == nil {
				changed++
				continue
			}
			var overtaken *db.ContentionError
			require.ErrorAs(t, err, &overtaken, "the only possible error")
		}
		require.Greater(t, changed, 1, "at least the first request succeeds")
		read, err := r.Patient(r.own, created.ID)
		require.NoError(t, err)
		require.Equal(t, changed, read.Version)
	})
}

func TestPatientList(t *testing.T) {
	t.Parallel()
	r := open(t)
	var ids []uuid.UUID
	for _, name := range []string{"Smith", "smythe", "Smi%th", "Jones", "Smith"} {
		n := ada()
		n.LastName = name
		p, err := r.CreatePatient(r.own, n)
		require.NoError(t, err)
		ids = append(ids, p.ID)
	}
	_, err := r.ChangePatient(r.own, directory.PatientChange{ID: ids[4], Status: patch.Set(directory.Inactive)})
	require.NoError(t, err)

	found := func(f directory.PatientFilter) []uuid.UUID {
		if f.Limit == 0 {
			f.Limit = 100
		}
		patients, err := r.Patients(r.own, f)
		require.NoError(t, err)
		var all []uuid.UUID
		for _, p := range patients {
			all = append(all, p.ID)
		}
		return all
	}
	t.Run("it is in the order of creation", func(t *testing.T) {
		require.Equal(t, ids, found(directory.PatientFilter{}))
	})
	t.Run("it continues after the last one shown", func(t *testing.T) {
		require.Equal(t, ids[2:4],
			found(directory.PatientFilter{Page: directory.Page{After: &db.Position{ID: ids[1]}, Limit: 2}}))
	})
	t.Run("it finds by the beginning of the last name", func(t *testing.T) {
		require.Equal(t, []uuid.UUID{ids[0], ids[1], ids[2], ids[4]}, found(directory.PatientFilter{LastName: "sM"}))
	})
	t.Run("it matches a percent sign literally", func(t *testing.T) {
		require.Equal(t, ids[2:3], found(directory.PatientFilter{LastName: "Smi%"}))
		require.Empty(t, found(directory.PatientFilter{LastName: "%"}))
		require.Empty(t, found(directory.PatientFilter{LastName: "_"}))
		require.Empty(t, found(directory.PatientFilter{LastName: `\`}))
	})
	t.Run("it combines filters", func(t *testing.T) {
		require.Equal(t, ids[4:],
			found(directory.PatientFilter{LastName: "Smith", Status: directory.Inactive, DateOfBirth: born}))
	})
}

func TestPractitioner(t *testing.T) {
	t.Parallel()
	r := open(t)
	n := directory.NewPractitioner{
		FirstName: "Grace", LastName: "Example", NPI: new("1234567893"),
		Credentials: []directory.CredentialBody{
			{Code: "RBT", ExpiresOn: calendar.NewDate(2027, time.January, 31)}, {Code: "BCBA"},
		},
	}
	created, err := r.CreatePractitioner(r.own, n)
	require.NoError(t, err)

	t.Run("its credentials are sorted", func(t *testing.T) {
		read, err := r.Practitioner(r.own, created.ID)
		require.NoError(t, err)
		want := []directory.Credential{directory.Credential(n.Credentials[1]), directory.Credential(n.Credentials[0])}
		require.Equal(t, want, read.Credentials)
		require.Equal(t, created.Credentials, read.Credentials)
		list, err := r.Practitioners(r.own, directory.PractitionerFilter{Page: directory.Page{Limit: 10}})
		require.NoError(t, err)
		require.Equal(t, read.Credentials, list[0].Credentials)
	})
	t.Run("its NPI is unique within the organization", func(t *testing.T) {
		_, err := r.CreatePractitioner(r.own, n)
		require.ErrorIs(t, err, directory.ErrNPITaken)
		_, err = r.CreatePractitioner(r.other, n)
		require.NoError(t, err)
	})
	t.Run("it reports the path of every invalid field", func(t *testing.T) {
		_, err := r.CreatePractitioner(r.own, directory.NewPractitioner{
			FirstName: "Grace", LastName: "Example", NPI: new("1234567890"),
			Credentials: []directory.CredentialBody{{Code: "RBT"}, {Code: "?"}, {Code: "BCBA"}, {Code: "rbt"}},
		})
		require.Equal(t, []string{"npi", "credentials[1].code", "credentials[3].code"}, wrongFields(t, err))
	})
	t.Run("its credentials are replaced as a whole, which counts as a change", func(t *testing.T) {
		same, err := r.ChangePractitioner(r.own,
			directory.PractitionerChange{ID: created.ID, Credentials: patch.Set(n.Credentials)})
		require.NoError(t, err)
		require.Equal(t, 1, same.Version)
		changed, err := r.ChangePractitioner(r.own, directory.PractitionerChange{
			ID: created.ID, Credentials: patch.Set([]directory.CredentialBody{{Code: "BCaBA"}}),
		})
		require.NoError(t, err)
		require.Equal(t, 2, changed.Version)
		read, err := r.Practitioner(r.own, created.ID)
		require.NoError(t, err)
		require.Equal(t, []directory.Credential{{Code: "BCaBA"}}, read.Credentials)
		none, err := r.ChangePractitioner(r.own,
			directory.PractitionerChange{ID: created.ID, Credentials: patch.Set([]directory.CredentialBody{})})
		require.NoError(t, err)
		require.Empty(t, none.Credentials)
	})
}

func TestServiceCode(t *testing.T) {
	t.Parallel()
	r := open(t)
	created, err := r.CreateServiceCode(r.own, directory.NewServiceCode{
		Code: "97153", Description: "Treatment by protocol", RequiredCredentials: []string{"RBT", "BCBA"},
	})
	require.NoError(t, err)
	require.Equal(t, 15, created.UnitMinutes)
	require.True(t, created.Active)

	t.Run("it is found by its code", func(t *testing.T) {
		list, err := r.ServiceCodes(r.own, directory.ServiceCodeFilter{Code: "97153", Page: directory.Page{Limit: 10}})
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, []string{"BCBA", "RBT"}, list[0].RequiredCredentials)
	})
	t.Run("its code is unique within the organization", func(t *testing.T) {
		_, err := r.CreateServiceCode(r.own, directory.NewServiceCode{Code: "97153", Description: "Again"})
		require.ErrorIs(t, err, directory.ErrServiceCodeTaken)
		_, err = r.CreateServiceCode(r.other, directory.NewServiceCode{Code: "97153", Description: "Elsewhere"})
		require.NoError(t, err)
	})
	t.Run("its code has no lower-case letters", func(t *testing.T) {
		_, err := r.CreateServiceCode(r.own, directory.NewServiceCode{
			Code: "0362t", Description: "Assessment", RequiredCredentials: []string{"?"},
		})
		require.Equal(t, []string{"code", "requiredCredentials[0]"}, wrongFields(t, err))
	})
	t.Run("it has the lane of its code, unless another is given", func(t *testing.T) {
		for code, lane := range map[string]scheduling.Track{
			"97151": scheduling.Assessment, "97152": scheduling.Direct, "97154": scheduling.Direct,
			"97155": scheduling.Supervision,
			"97156": scheduling.Caregiver, "97157": scheduling.Caregiver, "97158": scheduling.Direct,
			"0362T": scheduling.Direct, "H2019": scheduling.Direct,
		} {
			made, err := r.CreateServiceCode(r.own, directory.NewServiceCode{Code: code, Description: "Lane"})
			require.NoError(t, err)
			read, err := r.ServiceCode(r.own, made.ID)
			require.NoError(t, err)
			require.Equal(t, lane, read.Track, code)
		}
		made, err := r.CreateServiceCode(r.other,
			directory.NewServiceCode{Code: "97155", Description: "Lane", Track: scheduling.Direct})
		require.NoError(t, err)
		require.Equal(t, scheduling.Direct, made.Track)
		changed, err := r.ChangeServiceCode(r.other,
			directory.ServiceCodeChange{ID: made.ID, Track: patch.Set(scheduling.Caregiver)})
		require.NoError(t, err)
		require.Equal(t, scheduling.Caregiver, changed.Track)
	})
	t.Run("it can be deactivated", func(t *testing.T) {
		changed, err := r.ChangeServiceCode(r.own,
			directory.ServiceCodeChange{ID: created.ID, Active: patch.Set(false), UnitMinutes: patch.Set(30)})
		require.NoError(t, err)
		require.False(t, changed.Active)
		require.Equal(t, 30, changed.UnitMinutes)
		require.Equal(t, []string{"BCBA", "RBT"}, changed.RequiredCredentials)
	})
}

func TestInsurance(t *testing.T) {
	t.Parallel()
	r := open(t)
	patient, err := r.CreatePatient(r.own, ada())
	require.NoError(t, err)
	payer, err := r.CreatePayer(r.own, directory.NewPayer{Name: "Example Health"})
	require.NoError(t, err)
	require.Equal(t, scheduling.RoundUp, payer.Rounding)
	require.Equal(t, "SUNDAY", payer.WeekStartsOn)
	starts := calendar.NewDate(2026, time.January, 1)
	created, err := r.CreateInsurance(r.own, directory.NewInsurance{
		PatientID: patient.ID, PayerID: payer.ID, MemberNumber: "M-1", StartsOn: starts,
	})
	require.NoError(t, err)

	t.Run("it is found by its patient", func(t *testing.T) {
		list, err := r.Insurances(r.own, directory.InsuranceFilter{PatientID: patient.ID, Page: directory.Page{Limit: 10}})
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.True(t, list[0].EndsOn.IsZero())
		none, err := r.Insurances(r.own, directory.InsuranceFilter{PatientID: newID(), Page: directory.Page{Limit: 10}})
		require.NoError(t, err)
		require.Empty(t, none)
	})
	t.Run("it reports every reference that does not exist", func(t *testing.T) {
		_, err := r.CreateInsurance(r.own,
			directory.NewInsurance{PatientID: newID(), PayerID: newID(), MemberNumber: "M", StartsOn: starts})
		require.Equal(t, []string{"patientId", "payerId"}, wrongFields(t, err))
	})
	t.Run("it does not refer to records of another organization", func(t *testing.T) {
		_, err := r.CreateInsurance(r.other, directory.NewInsurance{
			PatientID: patient.ID, PayerID: payer.ID, MemberNumber: "M", StartsOn: starts,
		})
		require.Equal(t, []string{"patientId", "payerId"}, wrongFields(t, err))
	})
	t.Run("it does not end before it starts", func(t *testing.T) {
		c := directory.InsuranceChange{ID: created.ID, EndsOn: patch.SetClearable(starts.AddDays(-1))}
		_, err := r.ChangeInsurance(r.own, c)
		require.Equal(t, []string{"endsOn"}, wrongFields(t, err))
		c.EndsOn = patch.SetClearable(starts)
		changed, err := r.ChangeInsurance(r.own, c)
		require.NoError(t, err)
		require.Equal(t, starts, changed.EndsOn)
		c.EndsOn = patch.Clear[calendar.Date]()
		changed, err = r.ChangeInsurance(r.own, c)
		require.NoError(t, err)
		require.True(t, changed.EndsOn.IsZero())
	})
}

func TestReferences(t *testing.T) {
	t.Parallel()
	r := open(t)
	patient, err := r.CreatePatient(r.own, ada())
	require.NoError(t, err)
	sibling, err := r.CreatePatient(r.own, ada())
	require.NoError(t, err)
	payer, err := r.CreatePayer(r.own, directory.NewPayer{Name: "Example Health"})
	require.NoError(t, err)
	code, err := r.CreateServiceCode(r.own, directory.NewServiceCode{Code: "97153", Description: "Treatment by protocol"})
	require.NoError(t, err)
	insurance, err := r.CreateInsurance(r.own, directory.NewInsurance{
		PatientID: patient.ID, PayerID: payer.ID, MemberNumber: "M-1", StartsOn: born,
	})
	require.NoError(t, err)

	for name, c := range map[string]struct {
		patient, code uuid.UUID
		insurance     *uuid.UUID
		wrong         []string
	}{
		"it accepts existing records": {patient.ID, code.ID, &insurance.ID, nil},
		"it accepts no insurance":     {patient.ID, code.ID, nil, nil},
		"it reports all missing records": {
			newID(), newID(), new(newID()), []string{"patientId", "serviceCodeId", "insuranceId"},
		},
		"it refuses an insurance of another patient": {sibling.ID, code.ID, &insurance.ID, []string{"insuranceId"}},
		"it does not confuse kinds of records":       {code.ID, patient.ID, nil, []string{"patientId", "serviceCodeId"}},
		"it refuses the zero id of an insurance":     {patient.ID, code.ID, new(uuid.UUID), []string{"insuranceId"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := db.Serializable(r.own, r.database, "test", func(ctx context.Context) (struct{}, error) {
				return struct{}{}, r.CheckReferences(ctx, c.patient, c.code, c.insurance)
			})
			if c.wrong == nil {
				require.NoError(t, err)
				return
			}
			require.Equal(t, c.wrong, wrongFields(t, err))
		})
	}
	t.Run("it does not see records of another organization", func(t *testing.T) {
		_, err := db.Serializable(r.other, r.database, "test", func(ctx context.Context) (struct{}, error) {
			return struct{}{}, r.CheckReferences(ctx, patient.ID, code.ID, &insurance.ID)
		})
		require.Equal(t, []string{"patientId", "serviceCodeId", "insuranceId"}, wrongFields(t, err))
	})
	t.Run("it fails without a transaction", func(t *testing.T) {
		require.ErrorIs(t, r.CheckReferences(r.own, patient.ID, code.ID, nil), db.ErrNoTransaction)
	})
	t.Run("it fails without a caller", func(t *testing.T) {
		_, err := db.Serializable(t.Context(), r.database, "test", func(ctx context.Context) (struct{}, error) {
			return struct{}{}, r.CheckReferences(ctx, patient.ID, code.ID, nil)
		})
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
	})
}

func TestWeekStarts(t *testing.T) {
	t.Parallel()
	r := open(t)
	patient, err := r.CreatePatient(r.own, ada())
	require.NoError(t, err)
	asked := func(ctx context.Context, insurance uuid.UUID) (time.Weekday, error) {
		caller, err := identity.From(ctx)
		require.NoError(t, err)
		return db.Serializable(t.Context(), r.database, "test", func(ctx context.Context) (time.Weekday, error) {
			days, err := r.WeekStarts(ctx, []uuid.UUID{caller.OrganizationID}, []uuid.UUID{insurance})
			return append(days, time.Sunday)[0], err
		}, db.AllOrganizations())
	}
	var last uuid.UUID
	for name, want := range map[string]time.Weekday{
		"": time.Sunday, "SUNDAY": time.Sunday, "MONDAY": time.Monday, "TUESDAY": time.Tuesday, "WEDNESDAY": time.Wednesday,
		"THURSDAY": time.Thursday, "FRIDAY": time.Friday, "SATURDAY": time.Saturday,
	} {
		payer, err := r.CreatePayer(r.own, directory.NewPayer{Name: "Example Health", WeekStartsOn: name})
		require.NoError(t, err)
		insurance, err := r.CreateInsurance(r.own, directory.NewInsurance{
			PatientID: patient.ID, PayerID: payer.ID, MemberNumber: "M-1", StartsOn: born,
		})
		require.NoError(t, err)
		got, err := asked(r.own, insurance.ID)
		require.NoError(t, err)
		require.Equal(t, want, got, name)
		last = insurance.ID
	}
	_, err = asked(r.other, last)
	require.ErrorIs(t, err, directory.ErrInsuranceNotFound, "of another organization")
	_, err = r.WeekStarts(r.own, nil, nil)
	require.ErrorIs(t, err, db.ErrNoTransaction)
}
