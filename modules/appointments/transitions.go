package appointments

import "slices"

// Status says where an appointment is in its life.
type Status string

// The states. The first two are open: their units are held.
const (
	Scheduled  Status = "SCHEDULED"
	InProgress Status = "IN_PROGRESS"
	Completed  Status = "COMPLETED" // its session is written
	Cancelled  Status = "CANCELLED"
	NoShow     Status = "NO_SHOW" // the patient did not come
)

// transitions lists where each state can go. Whatever is not here is refused.
var transitions = map[Status][]Status{
	Scheduled:  {InProgress, Completed, Cancelled, NoShow},
	InProgress: {Completed, Cancelled, Scheduled},
	Completed:  {},
	Cancelled:  {},
	NoShow:     {},
}

// Open reports whether the appointment is still to take place, or is taking place.
func (s Status) Open() bool { return len(transitions[s]) > 0 }

// Occupies reports whether it takes up its time.
func (s Status) Occupies() bool { return s != Cancelled && s != NoShow }

func (s Status) mayBecome(next Status) bool { return slices.Contains(transitions[s], next) }
