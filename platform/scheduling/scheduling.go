// Package scheduling has the words in which the directory tells those who book
// time what there is to keep to. It has no rules of its own.
package scheduling

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// Lane is where a service stands beside others in a patient's day: one at a time
// in each lane, and across lanes only what may run together, see [Pair].
type Lane string

// The lanes of ABA services.
const (
	Direct      Lane = "DIRECT"      // treatment and what else a technician does with the patient
	Supervision Lane = "SUPERVISION" // the protocol is changed while treatment goes on
	Caregiver   Lane = "CAREGIVER"   // guidance of the family
	Assessment  Lane = "ASSESSMENT"  // of the patient's behaviour, before a plan is made
)

// Rounding says how a payer turns minutes into units.
type Rounding string

// The ways of rounding, in units of 15 minutes.
const (
	RoundUp       Rounding = "CEIL"      // a unit that was begun counts
	RoundDown     Rounding = "FLOOR"     // only whole units count
	RoundMidpoint Rounding = "MIDPOINT"  // a unit counts from 8 minutes, for each service by itself
	RoundCMSTotal Rounding = "CMS_TOTAL" // the same, over all timed services of the visit together
)

// RoundingRule is a way of rounding from a day on, until another one follows.
type RoundingRule struct {
	StartsOn calendar.Date `json:"startsOn"` // its first day; 0001-01-01: always
	Method   Rounding      `json:"method"`
}

// Always is the day from which the first rule of every payer counts.
var Always = calendar.NewDate(1, 1, 1)

// Unruled is how units are rounded where no payer says: without an insurance.
var Unruled = RoundingRule{StartsOn: Always, Method: RoundUp}

// InForce returns the rule that counts on the day, of rules in the order of their
// first days; [Unruled] where none does.
func InForce(rules []RoundingRule, on calendar.Date) RoundingRule {
	found := Unruled
	for _, rule := range rules {
		if rule.StartsOn.After(on) {
			break
		}
		found = rule
	}
	return found
}

// Key names a record of the directory: ids are looked up in their organization.
type Key struct{ OrganizationID, ID uuid.UUID }

// Coverage asks which rounding rule counts: that of the insurance's payer on the
// service date. Without an insurance, with the zero id, it is [Unruled].
type Coverage struct {
	OrganizationID, InsuranceID uuid.UUID
	ServiceDate                 calendar.Date
}

// Question names what bookings refer to, of one organization or of several. What
// is named twice is answered once.
type Question struct {
	ServiceCodes, Practitioners, Patients []Key
	Coverages                             []Coverage
}

// Rules are the answer to a [Question]: what does not exist is not in it.
type Rules struct {
	ServiceCodes  map[Key]ServiceCode
	Practitioners map[Key]Practitioner
	Patients      map[Key]Patient
	Rounding      map[Coverage]RoundingRule
	Organizations map[uuid.UUID]Organization // of all that was named
}

// ServiceCode is what bookings need to know of a service.
type ServiceCode struct {
	Code                string
	Lane                Lane
	UnitMinutes         int      // how long one unit is, at least 1
	RequiredCredentials []string // any of these is enough; none: no one is needed
	Active              bool
}

// Practitioner is what bookings need to know of somebody who renders services.
type Practitioner struct {
	Active      bool
	Credentials []Credential
}

// Credential is a qualification with its last day.
type Credential struct {
	Code      string
	ExpiresOn calendar.Date // zero: no end known
}

// Qualified reports whether the practitioner holds, on the day, one of the
// credentials that the service asks for. Codes are compared as they are written.
func (p Practitioner) Qualified(service ServiceCode, on calendar.Date) bool {
	if len(service.RequiredCredentials) == 0 {
		return true
	}
	for _, held := range p.Credentials {
		for _, asked := range service.RequiredCredentials {
			if held.Code == asked && (held.ExpiresOn.IsZero() || !on.After(held.ExpiresOn)) {
				return true
			}
		}
	}
	return false
}

// Patient is what bookings need to know of a patient.
type Patient struct{ Active bool }

// Organization is what an organization has decided for its appointments.
type Organization struct {
	TimeZone         string // an IANA name, such as America/New_York
	LateCancelHours  int    // before the start; a later cancellation is late
	NoShowConsumes   bool   // whether units stay used when the patient does not come
	SessionEditHours int    // after the end: how long a session can be changed

	EarlyStartMinutes   int     // before the booked start: how early an appointment can be started
	ConfirmLengthFactor float64 // a session that is longer or shorter than booked by more needs a confirmation

	Pairs map[Pair]bool
}

// Together reports whether services with these codes, of different lanes, may
// take place at the same time for one patient.
func (o Organization) Together(code, other string) bool { return o.Pairs[PairOf(code, other)] }

// Pair are the codes of two services, in their order: see [PairOf].
type Pair struct{ Code, OtherCode string }

// PairOf returns the pair of two codes, whichever stands first.
func PairOf(code, other string) Pair {
	if other < code {
		code, other = other, code
	}
	return Pair{code, other}
}
