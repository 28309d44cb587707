package appointments

import (
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-ical"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// events checks a feed against the grammar, and parses it with another library than the one that
// wrote it.
func events(t require.TestingT, text string) []ical.Event {
	requireStrict(t, text)
	decoded, err := ical.NewDecoder(strings.NewReader(text)).Decode()
	require.NoError(t, err)
	// The encoder refuses missing and repeated properties.
	var again strings.Builder
	require.NoError(t, ical.NewEncoder(&again).Encode(decoded))
	version, err := decoded.Props.Text(ical.PropVersion)
	require.NoError(t, err)
	require.Equal(t, "2.0", version)
	return decoded.Events()
}

// property returns a property of an event in its encoded form.
func property(t require.TestingT, e ical.Event, name string) string {
	p := e.Props.Get(name)
	require.NotNil(t, p, name)
	return p.Value
}

func TestCalendar(t *testing.T) {
	t.Parallel()
	secrets := []string{"Ada", "Example", "97153", "blue box", "holiday", "Jordan"}
	a := Appointment{
		ID: uuid.MustParse("019a0000-0000-7000-8000-000000000001"), Status: Scheduled, Version: 3,
		Span:  Span{instant(t, "2026-03-08T19:00:00Z"), instant(t, "2026-03-08T20:30:00Z")},
		Notes: new("Ada Example: bring the blue box; Jordan, 97153\nEND:VEVENT"), CancelReason: new("on holiday"),
		UpdatedAt:     time.Date(2026, 3, 1, 10, 11, 12, 345_678_000, time.UTC),
		Patients:      []Participant{{PatientID: uuid.New(), AuthorizationID: uuid.New(), Code: "97153", Track: "DIRECT"}},
		Practitioners: []uuid.UUID{uuid.New()}, ServiceCodeID: uuid.New(), CreatedBy: uuid.New(),
	}
	gone := a
	gone.ID, gone.Status = uuid.MustParse("019a0000-0000-7000-8000-000000000002"), Cancelled
	text, err := calendarOf([]Appointment{a, gone})
	require.NoError(t, err)
	found := events(t, text)
	require.Len(t, found, 2)
	for name, want := range map[string]string{
		ical.PropUID: "019a0000-0000-7000-8000-000000000001@omnirapeutic", ical.PropSequence: "2", ical.PropStatus: "CONFIRMED",
		ical.PropDateTimeStart: "20260308T190000Z", ical.PropDateTimeEnd: "20260308T203000Z", ical.PropLastModified: "20260301T101112Z",
		ical.PropDateTimeStamp: "20260301T101112Z", ical.PropSummary: "Appointment", ical.PropClass: "PRIVATE",
	} {
		require.Equal(t, want, property(t, found[0], name), name)
	}
	require.Len(t, found[0].Props, 9, "no other properties")
	require.Equal(t, "CANCELLED", property(t, found[1], ical.PropStatus))
	require.Equal(t, "Cancelled: Appointment", property(t, found[1], ical.PropSummary))
	for _, line := range []string{
		"REFRESH-INTERVAL;VALUE=DURATION:PT1H\r\n", "X-PUBLISHED-TTL:PT1H\r\n",
		"NAME:Appointments\r\n", "X-WR-CALNAME:Appointments\r\n",
	} {
		require.Equal(t, 1, strings.Count(text, "\r\n"+line), line)
	}
	for _, secret := range append(secrets, a.Patients[0].PatientID.String(), a.Practitioners[0].String(), a.ServiceCodeID.String()) {
		require.NotContains(t, text, secret)
	}
}

func TestCalendarConformsToRFC5545(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var all []Appointment
		for range rapid.IntRange(1, 5).Draw(t, "appointments") {
			start := time.Unix(rapid.Int64Range(946684800, 7258118400).Draw(t, "start"), 0).UTC().Truncate(time.Minute)
			all = append(all, Appointment{
				ID: uuid.New(), Version: rapid.IntRange(1, 1000).Draw(t, "version"), UpdatedAt: start.Add(-time.Hour),
				Status: rapid.SampledFrom([]Status{Scheduled, InProgress, Completed, Cancelled, NoShow}).Draw(t, "status"),
				Span:   Span{start, start.Add(time.Duration(rapid.IntRange(1, 1440).Draw(t, "length")) * time.Minute)},
				Notes:  new(rapid.String().Draw(t, "notes")),
			})
		}
		text, err := calendarOf(all)
		require.NoError(t, err)
		found := events(t, text)
		require.Len(t, found, len(all))
		for i, e := range found {
			start, err := e.DateTimeStart(time.UTC)
			require.NoError(t, err)
			end, err := e.DateTimeEnd(time.UTC)
			require.NoError(t, err)
			require.Equal(t, Span{start, end}, all[i].Span)
			require.Equal(t, all[i].ID.String()+"@omnirapeutic", property(t, e, ical.PropUID))
			require.Equal(t, all[i].Status.Occupies(), property(t, e, ical.PropStatus) == "CONFIRMED")
		}
	})
}

// TestCalendarWithoutAppointments checks that an empty feed is valid: a subscribing program must
// not take it for a broken one.
func TestCalendarWithoutAppointments(t *testing.T) {
	t.Parallel()
	text, err := calendarOf(nil)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(text, "BEGIN:VCALENDAR\r\n"))
	require.True(t, strings.HasSuffix(text, "END:VCALENDAR\r\n"))
	require.NotContains(t, text, "VEVENT")
	require.Empty(t, events(t, text))
}

// TestTheGrammarOfFeedsIsStrict breaks a valid feed in ways that calendar programs refuse.
func TestTheGrammarOfFeedsIsStrict(t *testing.T) {
	t.Parallel()
	good, err := calendarOf([]Appointment{{ID: uuid.New(), Version: 1, Span: wall(10, "15:00-16:00").utc()}})
	require.NoError(t, err)
	requireStrict(t, good)
	for _, broken := range [][2]string{
		{"REFRESH-INTERVAL;VALUE=DURATION:", "REFRESH-INTERVAL;VALUE=DURATION;VALUE=DURATION:"},
		{"REFRESH-INTERVAL;VALUE=DURATION:", "REFRESH-INTERVAL:"},
		{"VERSION:2.0\r\n", "VERSION:2.0\r\nMETHOD:PUBLISH\r\n"},
		{"VERSION:2.0\r\n", ""},
		{"NAME:Appointments\r\n", "NAME:Appointments, all\r\n"},
		{"SUMMARY:", "SUMMARY:a\r\nSUMMARY:"},
		{"\r\n", "\n"},
		{"SUMMARY:", "SUMMARY:" + strings.Repeat("x", 75)},
		{"DTSTART:20260310T190000Z", "DTSTART:20260310T190000"},
		{"END:VEVENT\r\n", ""},
		{"STATUS:CONFIRMED", "STATUS:GONE"},
	} {
		require.Contains(t, good, broken[0])
		require.Error(t, strictly(strings.ReplaceAll(good, broken[0], broken[1])), "%q", broken)
	}
}
