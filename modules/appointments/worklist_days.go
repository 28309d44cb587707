package appointments

import "omnirapeutic/platform/calendar"

// worklistDays is the number of days that a worklist of conflicts covers by default. Medicare pays
// claims that arrive within one calendar year after the date of service (42 CFR 424.44), and most
// commercial payers allow less.
const worklistDays = 366

// ofWorklist returns the days of a worklist. Without a first day it covers the last [worklistDays],
// so that a list of conflicts does not evaluate all sessions of an organization.
func (d Days) ofWorklist(today calendar.Date) Days {
	if d.First.IsZero() {
		last := today
		if !d.Last.IsZero() {
			last = d.Last
		}
		d.First = last.AddDays(-worklistDays)
	}
	return d
}
