package authorization

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// The refusals of this module. Each says in its text, and in its details, what
// a person needs to know to do better.
var (
	// ErrNotFound: no such authorization in the caller's organization.
	ErrNotFound = fault.Define(fault.NotFound, "authorization-not-found", "There is no such authorization.")
	// ErrAlertNotFound: no such alert is open in the caller's organization.
	ErrAlertNotFound = fault.Define(fault.NotFound, "alert-not-found", "There is no such alert, or what it was about is over.").
				Advising("Show the worklist anew.")
	// ErrReservationNotFound: no such reservation on this authorization.
	ErrReservationNotFound = fault.Define(fault.NotFound, "reservation-not-found", "There is no such reservation on this authorization.")
	// ErrInsufficientUnits comes with [Shortage].
	ErrInsufficientUnits = fault.Define(fault.Conflict, "insufficient-units", "The authorization has not enough units available.").Carrying(Shortage{}).
				Advising("Offer fewer units, another day, or another authorization; `available` says how many there are.")
	// ErrCapExceeded comes with [CapShortage].
	ErrCapExceeded = fault.Define(fault.Conflict, "cap-exceeded", "A cap of the authorization does not allow so many units in its period.").Carrying(CapShortage{}).
			Advising("Offer fewer units, or a day before `periodStart` or after `periodEnd`; `limit` − `booked` says how many still fit.")
	// ErrInsufficientReserved comes with [ReservedShortage].
	ErrInsufficientReserved = fault.Define(fault.Conflict, "insufficient-reserved-units", "Fewer units are reserved than were to be released.").Carrying(ReservedShortage{}).
				Advising("`reserved` says how many can be released.")
	// ErrNotActive comes with [State].
	ErrNotActive = fault.Define(fault.Conflict, "authorization-not-active", "The authorization is not active.").Carrying(State{}).
			Advising("`authorizationStatus` says what it is; only an active one is reserved from.")
	// ErrOutsideDates comes with [Dates].
	ErrOutsideDates = fault.Define(fault.Conflict, "outside-authorization-dates", "The service date is not within the authorization.").Carrying(Dates{}).
			Advising("Choose a day from `startDate` to `endDate`, or another authorization.")
	// ErrReservationClosed comes with [Settled].
	ErrReservationClosed = fault.Define(fault.Conflict, "reservation-closed", "The reservation holds no units any more.").Carrying(Settled{}).
				Advising("Show the reservation anew: somebody settled it, or, where `expired`, its hold ran out.")
	// ErrBelongsToAppointment comes with [Appointment].
	ErrBelongsToAppointment = fault.Define(fault.Conflict, "reservation-belongs-to-appointment", "The reservation is settled only through its appointment.").Carrying(Appointment{}).
				Advising("Complete or cancel the appointment `appointmentId` instead.")
	// ErrTotalBelowBooked comes with [Booked].
	ErrTotalBelowBooked = fault.Define(fault.Conflict, "total-below-booked", "The total cannot be less than what is used and scheduled.").Carrying(Booked{}).
				Advising("Choose at least `usedUnits` + `scheduledUnits`, or release reservations first. `POST /authorizations/{id}/impact` lists the bookings that stand against it; `strandedBookings` says what becomes of them.")
	// ErrTransition comes with [Transition].
	ErrTransition = fault.Define(fault.Conflict, "status-transition-not-allowed", "The authorization cannot change to that status.").Carrying(Transition{}).
			Advising("`allowed` lists where it can go from here.")
	// ErrReservationsOutsideDates comes with [Stranded].
	ErrReservationsOutsideDates = fault.Define(fault.Conflict, "reservations-outside-dates", "Open reservations would fall outside the new dates.").Carrying(Stranded{}).
					Advising("Settle the reservations between `firstDate` and `lastDate` first. `POST /authorizations/{id}/impact` lists the bookings among them; `strandedBookings` says what becomes of those.")
	// ErrBookingsStranded comes with [StrandedBookings].
	ErrBookingsStranded = fault.Define(fault.Conflict, "bookings-stranded", "Appointments are still booked on the authorization.").Carrying(StrandedBookings{}).
				Advising("Show `bookings` and ask what is to become of them; say it in `strandedBookings`: CANCEL, MOVE or KEEP.")
	// ErrHasHistory: it has reservations or entries, which are kept.
	ErrHasHistory = fault.Define(fault.Conflict, "authorization-has-history", "An authorization with reservations or entries cannot be deleted; cancel it instead.").
			Advising("Set its status to CANCELLED.")
	// ErrBooksDamaged: the authorization's own numbers contradict each other, as
	// only a change past this program can make them.
	ErrBooksDamaged = fault.Define(fault.Conflict, "books-damaged", "The books of this authorization do not agree; nothing is booked on it until that is repaired.").
			Advising("Tell the operator: `verify` says what differs.")
	// ErrBulkRefused: some of the operations that were to be done together were refused.
	ErrBulkRefused = fault.Define(fault.Conflict, "bulk-refused", "Some of the operations were refused, so none of them took effect.").Carrying(bulkBody{}).
			Advising("Each of `results` that is `refused` says why; change or leave out those, or send it without `atomic`.")
)

// Shortage are the details of [ErrInsufficientUnits], in units.
type Shortage struct {
	Available int `json:"available"`
	Requested int `json:"requested"`
}

func insufficientUnits(available, requested int) *fault.Error {
	return ErrInsufficientUnits.With(Shortage{available, requested},
		"Insufficient units available. Available: %d, Requested: %d", available, requested)
}

// CapShortage are the details of [ErrCapExceeded], in units.
type CapShortage struct {
	Cap         Period        `json:"cap"`
	PeriodStart calendar.Date `json:"periodStart"`
	PeriodEnd   calendar.Date `json:"periodEnd"` // the last day
	Limit       int           `json:"limit"`
	Booked      int           `json:"booked"`
	Requested   int           `json:"requested"`
	Missing     int           `json:"missing"` // by how many units the limit would be exceeded
}

// ReservedShortage are the details of [ErrInsufficientReserved], in units.
type ReservedShortage struct {
	Reserved  int `json:"reserved"`
	Requested int `json:"requested"`
}

func insufficientReserved(reserved, requested int) *fault.Error {
	return ErrInsufficientReserved.With(ReservedShortage{reserved, requested},
		"Fewer units are reserved than were to be released. Reserved: %d, Requested: %d", reserved, requested)
}

// State are the details of [ErrNotActive].
type State struct {
	Status Status `json:"authorizationStatus"`
}

// Dates are the details of [ErrOutsideDates].
type Dates struct {
	ServiceDate calendar.Date `json:"serviceDate"`
	StartDate   calendar.Date `json:"startDate"`
	EndDate     calendar.Date `json:"endDate"`
}

// Settled are the details of [ErrReservationClosed], in units.
type Settled struct {
	ReservationID uuid.UUID `json:"reservationId"`
	ConsumedUnits int       `json:"consumedUnits"`
	ReleasedUnits int       `json:"releasedUnits"`
	Expired       bool      `json:"expired"`
}

// Appointment are the details of [ErrBelongsToAppointment].
type Appointment struct {
	AppointmentID uuid.UUID `json:"appointmentId"`
}

// Booked are the details of [ErrTotalBelowBooked], in units.
type Booked struct {
	Requested      int `json:"requested"`
	UsedUnits      int `json:"usedUnits"`
	ScheduledUnits int `json:"scheduledUnits"`
}

// Transition are the details of [ErrTransition].
type Transition struct {
	From    Status   `json:"from"`
	To      Status   `json:"to"`
	Allowed []Status `json:"allowed"`
}

// StrandedBookings are the details of [ErrBookingsStranded].
type StrandedBookings struct {
	Bookings []strandedBookingBody `json:"bookings"` // in the order of their times
	Units    int                   `json:"units"`    // which they hold
}

// Stranded are the details of [ErrReservationsOutsideDates].
type Stranded struct {
	Reservations int           `json:"reservations"`
	Units        int           `json:"units"`
	FirstDate    calendar.Date `json:"firstDate"`
	LastDate     calendar.Date `json:"lastDate"`
}
