package appointments

import "slices"

// Status is the status of an appointment.
type Status string

// The statuses. The first two are open: the appointment holds units.
const (
	Scheduled  Status = "SCHEDULED"
	InProgress Status = "IN_PROGRESS"
	Completed  Status = "COMPLETED" // has a session
	Cancelled  Status = "CANCELLED"
	NoShow     Status = "NO_SHOW" // the patient did not come
)

// transitions lists the allowed transitions; all others are refused.
var transitions = map[Status][]Status{
	Scheduled:  {InProgress, Completed, Cancelled, NoShow},
	InProgress: {Completed, Cancelled, Scheduled},
	Completed:  {},
	Cancelled:  {},
	NoShow:     {},
}

// Open reports whether the appointment is SCHEDULED or IN_PROGRESS.
func (s Status) Open() bool { return len(transitions[s]) > 0 }

// Occupies reports whether the appointment occupies its time.
func (s Status) Occupies() bool { return s != Cancelled && s != NoShow }

func (s Status) mayBecome(next Status) bool { return slices.Contains(transitions[s], next) }

// counts reports whether an appointment's minutes count in its visits.
func (s Status) counts() bool { return s == Completed || s.Open() }
