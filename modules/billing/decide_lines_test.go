package billing

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
)

// filed returns a filing with a claim of the lines.
func filed(lines ...Line) filing {
	known := directory.BillingIdentity{
		NPI: new("1234567893"), TaxID: new("123456789"), TaxonomyCode: new("261QM0850X"), SubmitterID: new("OMNI01"),
		ContactName: new("Bo"), ContactPhone: new("5185550100"), ReceiverID: new("CLEARING"), ReceiverName: new("Clearing"),
	}
	f := filing{
		claims: []Claim{{Number: "1-1", Frequency: Original, Lines: lines}},
		data: directory.ClaimData{
			Identity: known, Practitioners: map[uuid.UUID]directory.Practitioner{},
		},
	}
	for i, l := range lines {
		f.data.Practitioners[l.RenderingID] = directory.Practitioner{LastName: "Renderer" + strings.Repeat("X", i)}
		if l.SupervisingID != nil {
			f.data.Practitioners[*l.SupervisingID] = directory.Practitioner{LastName: "Supervisor" + strings.Repeat("X", i)}
		}
	}
	return f
}

func TestX12NamesTheSupervisorOfClaimsAndLines(t *testing.T) {
	t.Parallel()
	first, second, supervisor := uuid.New(), uuid.New(), uuid.New()
	day := calendar.NewDate(2026, 3, 2)
	line := Line{
		ID: uuid.New(), RenderingID: first, SupervisingID: &supervisor, ServiceDate: day, PlaceOfService: "12", Code: "97153",
		Units: 4, ChargeCents: 100, Diagnoses: []string{"F84.0"},
	}
	other := line
	other.RenderingID, other.PlaceOfService, other.Modifiers = second, "03", []string{"HM", "95"}
	text := filed(line, other).x12Document()
	require.Contains(t, text, "NM1*DQ*1*SUPERVISOR", "loop 2310D")
	require.Equal(t, 1, strings.Count(text, "NM1*DQ"), "the second line has the supervisor of the claim")
	require.Equal(t, 2, strings.Count(text, "NM1*82"), "loop 2420A, because the second line's practitioner differs")
	other.SupervisingID = new(uuid.New())
	text = filed(line, other).x12Document()
	require.Greater(t, strings.LastIndex(text, "NM1*DQ"), strings.Index(text, "LX*2"), "loop 2420D, because its supervisor differs")
	require.Contains(t, text, "SV1*HC:97153:HM:95*1.00*UN*4*03**1~")
	require.Less(t, strings.Index(text, "NM1*82"), strings.Index(text, "NM1*DQ"))
}

func TestClaimHasAtMostFiftyLines(t *testing.T) {
	t.Parallel()
	payer, insurance, patient := uuid.New(), uuid.New(), uuid.New()
	lines := make([]Line, 51)
	for i := range lines {
		lines[i] = Line{PatientID: patient, InsuranceID: &insurance, PayerID: &payer, AuthNumber: "A-1", Frequency: Original}
	}
	claims := claimsOf(lines, nil)
	require.Len(t, claims, 2)
	require.Len(t, claims[0].Lines, 50)
	require.Len(t, claims[1].Lines, 1)
}

func TestX12TextHasTheBasicCharacterSet(t *testing.T) {
	t.Parallel()
	for text, clean := range map[string]string{
		"José Núñez": "JOSE NUNEZ", "a*b~c:d^e": "ABCDE", "O'Neil & Sons": "O'NEIL & SONS", "李": "", "  x  ": "X",
	} {
		require.Equal(t, clean, x12Text(text, 60))
	}
	require.Equal(t, "ABC", x12Text("abcdef", 3))
}

func TestCellsAreNoFormulas(t *testing.T) {
	t.Parallel()
	require.Equal(t, "'=1+1", cell("=1+1"))
	require.Equal(t, "Lee", cell("Lee"))
}

func TestRateOfTheServiceDate(t *testing.T) {
	t.Parallel()
	payer, code := uuid.New(), uuid.New()
	d := directory.ClaimData{Rates: []directory.Rate{
		{PayerID: payer, ServiceCodeID: code, StartsOn: calendar.NewDate(2024, 1, 1), CentsPerUnit: 100},
		{PayerID: payer, ServiceCodeID: code, StartsOn: calendar.NewDate(2025, 1, 1), CentsPerUnit: 200},
	}}
	cents, ok := d.RateOn(payer, code, calendar.NewDate(2024, 12, 31))
	require.True(t, ok)
	require.Equal(t, 100, cents)
	cents, _ = d.RateOn(payer, code, calendar.NewDate(2025, 1, 1))
	require.Equal(t, 200, cents)
	_, ok = d.RateOn(payer, code, calendar.NewDate(2023, 12, 31))
	require.False(t, ok)
}
