package appointments

import "time"

// Clocking has the times at which a practitioner clocked in and out, as the program's clock showed
// them, with optional coordinates.
type Clocking struct {
	ClockedInAt       *time.Time `json:",omitempty"`
	ClockInLatitude   *float64   `json:",omitempty"`
	ClockInLongitude  *float64   `json:",omitempty"`
	ClockedOutAt      *time.Time `json:",omitempty"`
	ClockOutLatitude  *float64   `json:",omitempty"`
	ClockOutLongitude *float64   `json:",omitempty"`
}

// Coordinates are a point on Earth (WGS 84), in degrees.
type Coordinates struct{ Latitude, Longitude float64 }

// parts returns the latitude and the longitude, or nil without coordinates.
func (c *Coordinates) parts() (latitude, longitude *float64) {
	if c == nil {
		return nil, nil
	}
	return &c.Latitude, &c.Longitude
}

// times returns the clocking without coordinates.
func (c Clocking) times() Clocking {
	return Clocking{ClockedInAt: c.ClockedInAt, ClockedOutAt: c.ClockedOutAt}
}

// Visit is a session with one of its patients, as electronic visit verification reports it: the type of
// the service, the client, the date, the place, the provider, and the start and the end (21st Century
// Cures Act, section 12006(a), 42 U.S.C. 1396b(l)(5)(A)).
type Visit struct {
	Session
	Patient SessionPatient
	Code    string // of the service
	Clocking
}
