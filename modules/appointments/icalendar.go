package appointments

import (
	"strconv"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"
)

// calendarType is the media type of feeds.
const calendarType = "text/calendar"

// refreshInterval is the interval at which calendar programs should fetch a feed.
const refreshInterval = "PT1H"

// calendarOf returns appointments and calendar entries as an iCalendar feed (RFC 5545). Anyone with the link can
// read it, and copies are stored on phones and by third parties. So it has only the times and
// whether an appointment was cancelled: no names, services or notes. It is deterministic.
//
// A feed has no METHOD. With one it would be a scheduling message, whose events need an ORGANIZER
// (RFC 5546, section 3.2.1), and a feed names no people.
func calendarOf(found []Appointment, entries ...CalendarEntry) (string, error) {
	c := ics.NewCalendar()
	c.SetProductId("-//Omnirapeutic//Appointments//EN")
	c.SetName("Appointments") // also as X-WR-CALNAME, for programs without RFC 7986
	c.SetRefreshInterval(refreshInterval)
	c.SetXPublishedTTL(refreshInterval) // for programs without RFC 7986
	for _, a := range found {
		addEvent(c, a)
	}
	for _, entry := range entries {
		addEntry(c, entry)
	}
	if len(found)+len(entries) == 0 {
		addTimeZone(c)
	}
	var text strings.Builder
	// Lines end with CR and LF on every operating system.
	err := c.SerializeTo(&text, ics.WithNewLine("\r\n"))
	return text.String(), err
}

// addTimeZone adds a component without effect to a calendar without events, because a calendar
// without any component is invalid (RFC 5545, section 3.6).
func addTimeZone(c *ics.Calendar) {
	standard := c.AddTimezone("Etc/UTC").AddStandard()
	for name, value := range map[ics.ComponentProperty]string{
		ics.ComponentPropertyDtStart: "19700101T000000",
		"TZOFFSETFROM":               "+0000",
		"TZOFFSETTO":                 "+0000",
	} {
		standard.SetProperty(name, value)
	}
}

func addEvent(c *ics.Calendar, a Appointment) {
	const summary = "Appointment"
	e := c.AddEvent(a.ID.String() + "@omnirapeutic")
	e.SetDtStampTime(a.UpdatedAt)
	e.SetModifiedAt(a.UpdatedAt)
	e.SetProperty(ics.ComponentPropertySequence, strconv.Itoa(a.Version-1))
	e.SetStartAt(a.Start)
	e.SetEndAt(a.End)
	e.SetClass(ics.ClassificationPrivate)
	if a.Status.Occupies() {
		e.SetSummary(summary)
		e.SetStatus(ics.ObjectStatusConfirmed)
		return
	}
	e.SetSummary("Cancelled: " + summary) // many programs show cancelled events like others
	e.SetStatus(ics.ObjectStatusCancelled)
	e.SetTimeTransparency(ics.TransparencyTransparent)
}

// addEntry adds time without a patient: its kind and times, not its title.
func addEntry(c *ics.Calendar, entry CalendarEntry) {
	e := c.AddEvent(entry.ID.String() + "@omnirapeutic")
	e.SetDtStampTime(entry.CreatedAt)
	e.SetModifiedAt(entry.CreatedAt)
	e.SetProperty(ics.ComponentPropertySequence, "0")
	e.SetStartAt(entry.Start)
	e.SetEndAt(entry.End)
	e.SetClass(ics.ClassificationPrivate)
	e.SetSummary(entryNames[entry.Kind])
	e.SetStatus(ics.ObjectStatusConfirmed)
}

// feedWindow returns the time that a feed covers: the last four weeks, so that recent cancellations
// are visible, and the next year.
func feedWindow(now time.Time) Span {
	const back, ahead = 28, 366
	day := now.UTC().Truncate(24 * time.Hour)
	return Span{day.AddDate(0, 0, -back), day.AddDate(0, 0, ahead)}
}
