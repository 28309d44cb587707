package appointments

import (
	"strconv"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"
)

// calendarType is the media type of feeds.
const calendarType = "text/calendar"

// calendarOf returns the appointments as an iCalendar feed (RFC 5545), for calendar
// programs that fetch it again and again. Whoever has its link reads it, and it
// comes to rest on phones and in the clouds of third parties: so it tells that there
// is an appointment, when, and whether it was cancelled, and nothing else. No names,
// no service, no notes. The same appointments make the same text.
func calendarOf(found []Appointment) (string, error) {
	c := ics.NewCalendar()
	c.SetProductId("-//Omnirapeutic//Appointments//EN")
	c.SetMethod(ics.MethodPublish)
	c.SetName("Appointments")
	c.SetXWRCalName("Appointments") // what programs read that do not know RFC 7986
	c.SetRefreshInterval("PT1H", ics.WithValue("DURATION"))
	for _, a := range found {
		addEvent(c, a)
	}
	var text strings.Builder
	// Lines end with CR and LF, whatever the system's lines do.
	err := c.SerializeTo(&text, ics.WithNewLine("\r\n"))
	return text.String(), err
}

func addEvent(c *ics.Calendar, a Appointment) {
	e := c.AddEvent(a.ID.String() + "@omnirapeutic")
	e.SetDtStampTime(a.UpdatedAt)
	e.SetModifiedAt(a.UpdatedAt)
	e.SetProperty(ics.ComponentPropertySequence, strconv.Itoa(a.Version-1))
	e.SetStartAt(a.Start)
	e.SetEndAt(a.End)
	e.SetSummary("Appointment")
	e.SetClass(ics.ClassificationPrivate)
	e.SetStatus(ics.ObjectStatusConfirmed)
	if !a.Status.Occupies() {
		e.SetStatus(ics.ObjectStatusCancelled)
		e.SetTimeTransparency(ics.TransparencyTransparent)
	}
}

// feedWindow is which appointments a feed has: those of the last four weeks, so
// that a cancelled one is seen to be, and of the year to come.
func feedWindow(now time.Time) Span {
	const back, ahead = 28, 366
	day := now.UTC().Truncate(24 * time.Hour)
	return Span{day.AddDate(0, 0, -back), day.AddDate(0, 0, ahead)}
}
