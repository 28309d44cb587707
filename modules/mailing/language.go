package mailing

import (
	"fmt"
	"time"
)

// Language is the language of a mail.
type Language string

// The languages.
const (
	English Language = "en"
	Spanish Language = "es"
)

// languages are all languages.
var languages = []Language{English, Spanish}

var (
	spanishDays   = [...]string{"domingo", "lunes", "martes", "miércoles", "jueves", "viernes", "sábado"}
	spanishMonths = [...]string{
		"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre",
		"diciembre",
	}
)

// dateAndTime writes a time in the practice's zone, such as "Tuesday, December 1, 2026 at 3:00 PM EST".
func dateAndTime(l Language, at time.Time, zone *time.Location) string {
	if at.IsZero() || zone == nil {
		return ""
	}
	at = at.In(zone)
	if l == Spanish {
		return fmt.Sprintf("%s, %d de %s de %d, %s", spanishDays[at.Weekday()], at.Day(), spanishMonths[at.Month()-1],
			at.Year(), at.Format("15:04 MST"))
	}
	return at.Format("Monday, January 2, 2006 at 3:04 PM MST")
}
