package authorization

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// The errors of this module. With the text and the details of each, a user can correct the request.
var (
	// ErrNotFound is returned if the caller's organization has no such authorization, or it is
	// outside the caller's record scope.
	ErrNotFound = fault.Define(fault.NotFound, "authorization-not-found", "Authorization not found.").
			ListingReasons()
	// ErrAlertNotFound is returned if the caller's organization has no such open alert.
	ErrAlertNotFound = fault.Define(fault.NotFound, "alert-not-found", "Alert not found, or no longer open.").
				Advising("Reload the worklist.")
	// ErrReservationNotFound is returned if the authorization has no such reservation.
	ErrReservationNotFound = fault.Define(fault.NotFound, "reservation-not-found",
		"Reservation not found on this authorization.").
		AsReason()
	// ErrInsufficientUnits carries [Shortage].
	ErrInsufficientUnits = fault.Define(fault.Conflict, "insufficient-units",
		"The authorization does not have enough units available.").
		Carrying(Shortage{}).
		Advising("Offer fewer units or another authorization. `available` is the number of units that can still be " +
			"reserved.").
		ListingReasons()
	// ErrCapExceeded carries [CapShortage].
	ErrCapExceeded = fault.Define(fault.Conflict, "cap-exceeded", "The booking would exceed a cap of the authorization.").
			Carrying(CapShortage{}).
			Advising("Offer fewer units, or a day before `periodStart` or after `periodEnd`. `limit` − `booked` units still " +
			"fit.").
		ListingReasons()
	// ErrInsufficientReserved carries [ReservedShortage].
	ErrInsufficientReserved = fault.Define(fault.Conflict, "insufficient-reserved-units",
		"The request releases more units than are reserved.").
		Carrying(ReservedShortage{}).
		Advising("Release at most `reserved` units.").
		AsReason()
	// ErrNotActive carries [State].
	ErrNotActive = fault.Define(fault.Conflict, "authorization-not-active",
		"The authorization is not active.").Carrying(State{}).ListingReasons().
		Advising("Units can be reserved only on an ACTIVE authorization. `authorizationStatus` is the current status.")
	// ErrOutsideDates carries [Dates].
	ErrOutsideDates = fault.Define(fault.Conflict, "outside-authorization-dates",
		"The service date is outside the authorization's dates.").
		Carrying(Dates{}).
		Advising("Choose a day from `startDate` to `endDate`, or another authorization.").
		ListingReasons()
	// ErrReservationClosed carries [Settled].
	ErrReservationClosed = fault.Define(fault.Conflict, "reservation-closed",
		"The reservation no longer holds any units.").
		Carrying(Settled{}).
		Advising("Reload the reservation. It was settled by another request or, if `expired` is true, its hold expired.").
		AsReason()
	// ErrBelongsToAppointment carries [Appointment].
	ErrBelongsToAppointment = fault.Define(
		fault.Conflict, "reservation-belongs-to-appointment",
		"The reservation belongs to an appointment and can only be settled through it.",
	).Carrying(Appointment{}).AsReason().
		Advising("Complete or cancel the appointment `appointmentId` instead.")
	// ErrTotalBelowBooked carries [BookedUnits].
	ErrTotalBelowBooked = fault.Define(fault.Conflict, "total-below-booked",
		"The total cannot be less than the used and scheduled units.").
		Carrying(BookedUnits{}).
		Advising("Choose at least `usedUnits` + `scheduledUnits`, or release reservations first. " +
			"`POST /authorizations/{id}/impact` lists the affected bookings. Set `strandedBookings` to cancel or move them.")
	// ErrTransition carries [Transition].
	ErrTransition = fault.Define(fault.Conflict, "status-transition-not-allowed",
		"The authorization cannot change to that status.").
		Carrying(Transition{}).
		Advising("`allowed` lists the statuses that it can change to.")
	// ErrReservationsOutsideDates carries [Stranded].
	ErrReservationsOutsideDates = fault.Define(
		fault.Conflict, "reservations-outside-dates", "Open reservations would fall outside the new dates.",
	).Carrying(Stranded{}).
		Advising("Settle the reservations between `firstDate` and `lastDate` first. `POST /authorizations/{id}/impact` " +
			"lists the affected bookings. Set `strandedBookings` to cancel or move them.")
	// ErrHasHistory is returned for an authorization with reservations or entries: these are kept.
	ErrHasHistory = fault.Define(
		fault.Conflict, "authorization-has-history",
		"An authorization with reservations or entries cannot be deleted; cancel it instead.",
	).
		Advising("Set its status to CANCELLED.")
	// ErrLedgerDamaged is returned if the authorization's counters contradict its reservations. Only
	// a change that bypassed this program can cause that.
	ErrLedgerDamaged = fault.Define(
		fault.Conflict, "books-damaged",
		"This authorization's unit counts are inconsistent. No units can be booked on it until they are repaired.",
	).
		Advising("Contact the operator: `verify` lists the differences.").
		AsReason()
	// ErrBulkRefused is returned if an operation of an atomic bulk request was refused. It carries
	// the bulk's results.
	ErrBulkRefused = fault.Define(fault.Conflict, "bulk-refused",
		"Some of the operations were refused, so none took effect.").
		Carrying(bulkBody{}).
		Advising("Each result with the status `refused` gives the reason. Correct or remove those operations, or send the " +
			"request without `atomic`.")
)

// Backing names the authorization that refuses a reservation, and its patient.
type Backing struct {
	AuthorizationID uuid.UUID `json:"authorizationId"`
	PatientID       uuid.UUID `json:"patientId"`
}

func (a Authorization) backing() Backing { return Backing{a.ID, a.PatientID} }

// Shortage has the details of [ErrInsufficientUnits], in units.
type Shortage struct {
	Backing
	Available int `json:"available"` // The number of available units.
	Requested int `json:"requested"`
}

func (a Authorization) insufficientUnits(requested int) *fault.Error {
	return ErrInsufficientUnits.With(Shortage{a.backing(), a.Available(), requested},
		"Insufficient units available. Available: %d, Requested: %d", a.Available(), requested)
}

// CapShortage has the details of [ErrCapExceeded], in units.
type CapShortage struct {
	Backing
	Cap         Period        `json:"cap"`         // The period of the cap.
	PeriodStart calendar.Date `json:"periodStart"` // The first day of the period.
	PeriodEnd   calendar.Date `json:"periodEnd"`   // The last day of the period.
	Limit       int           `json:"limit"`       // The number of units that the cap allows.
	Booked      int           `json:"booked"`      // The number of units that are booked in the period.
	Requested   int           `json:"requested"`
	Missing     int           `json:"missing"` // The number of units above the limit.
}

// ReservedShortage has the details of [ErrInsufficientReserved], in units.
type ReservedShortage struct {
	Reserved  int `json:"reserved"` // The number of reserved units.
	Requested int `json:"requested"`
}

func insufficientReserved(reserved, requested int) *fault.Error {
	return ErrInsufficientReserved.With(ReservedShortage{reserved, requested},
		"The request releases more units than are reserved. Reserved: %d, Requested: %d", reserved, requested)
}

// State has the details of [ErrNotActive].
type State struct {
	Backing
	Status Status `json:"authorizationStatus"` // The status of the authorization.
}

// Dates has the details of [ErrOutsideDates].
type Dates struct {
	Backing
	ServiceDate calendar.Date `json:"serviceDate"`
	StartDate   calendar.Date `json:"startDate"`
	EndDate     calendar.Date `json:"endDate"`
}

// Settled has the details of [ErrReservationClosed], in units.
type Settled struct {
	ReservationID uuid.UUID `json:"reservationId"`
	ConsumedUnits int       `json:"consumedUnits"`
	ReleasedUnits int       `json:"releasedUnits"`
	Expired       bool      `json:"expired"` // Whether the hold has expired.
}

// Appointment has the details of [ErrBelongsToAppointment].
type Appointment struct {
	AppointmentID uuid.UUID `json:"appointmentId"`
}

// BookedUnits has the details of [ErrTotalBelowBooked], in units.
type BookedUnits struct {
	Requested      int `json:"requested"` // The requested number of authorized units.
	UsedUnits      int `json:"usedUnits"`
	ScheduledUnits int `json:"scheduledUnits"`
}

// Transition has the details of [ErrTransition].
type Transition struct {
	From    Status   `json:"from"`    // The present status.
	To      Status   `json:"to"`      // The requested status.
	Allowed []Status `json:"allowed"` // The statuses to which the present one can change.
}

// Stranded has the details of [ErrReservationsOutsideDates].
type Stranded struct {
	Reservations int           `json:"reservations"` // The number of reservations.
	Units        int           `json:"units"`
	FirstDate    calendar.Date `json:"firstDate"` // The first service date of the reservations.
	LastDate     calendar.Date `json:"lastDate"`  // The last service date of the reservations.
}
