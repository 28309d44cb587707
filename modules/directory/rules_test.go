package directory

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/calendar"
)

func TestNPI(t *testing.T) {
	t.Parallel()
	for npi, valid := range map[string]bool{
		"1234567893":  true, // the example in CMS's own requirements
		"1993999998":  true,
		"1234567890":  false,
		"1234567983":  false, // two digits exchanged
		"3234567899":  false, // begins with neither 1 nor 2
		"123456789":   false,
		"12345678931": false,
		"12345 7893":  false,
		"":            false,
		"１２３４５６７８９３":  false, // digits, but not these
	} {
		require.Equal(t, valid, ValidNPI(npi), "%q", npi)
	}
}

func TestAnNPIWithOneWrongDigitIsRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		npi := []byte("1000000000")
		for i := 1; i < 9; i++ {
			npi[i] = byte('0' + rapid.IntRange(0, 9).Draw(t, "digit"))
		}
		valid := 0
		for last := byte('0'); last <= '9'; last++ {
			npi[9] = last
			if ValidNPI(string(npi)) {
				valid++
			}
		}
		require.Equal(t, 1, valid, "one of ten check digits is valid")
	})
}

func TestLatestTodayIsTheFurthestDateOnEarth(t *testing.T) {
	t.Parallel()
	evening := time.Date(2026, time.March, 2, 11, 0, 0, 0, time.UTC)
	require.Equal(t, calendar.NewDate(2026, time.March, 3), latestToday(evening))
	require.Equal(t, calendar.NewDate(2026, time.March, 2), latestToday(evening.Add(-2*time.Hour)))
}

func TestCredentialCodes(t *testing.T) {
	t.Parallel()
	require.Empty(t, checkCodes([]string{"BCBA", "BCBA-D", "RBT", "bcaba"}, "c[%d]"))
	wrong := checkCodes([]string{"", "RBT", "rbt", "B C", "-X"}, "c[%d]")
	var fields []string
	for _, f := range wrong {
		fields = append(fields, f.Field+" "+f.Code)
	}
	require.Equal(t, []string{"c[0] credential", "c[2] unique", "c[3] credential", "c[4] credential"}, fields)
}
