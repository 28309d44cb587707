// Package scheduling defines the data that the directory provides for bookings. It has
// no rules of its own.
package scheduling

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/record"
)

// Track is a group of services that exclude each other: services of one track may not
// overlap for one patient. Services of different tracks may overlap only if their [Pair] is allowed.
type Track string

// The tracks of ABA services.
const (
	Direct      Track = "DIRECT"      // treatment and other direct work of a technician with the patient
	Supervision Track = "SUPERVISION" // a change of protocol during treatment
	Caregiver   Track = "CAREGIVER"   // guidance of the family
	Assessment  Track = "ASSESSMENT"  // assessment of the patient's behaviour, before a plan is written
)

// Rounding is a payer's rule for converting minutes to units.
type Rounding string

// The rounding rules, in units of 15 minutes.
const (
	RoundUp       Rounding = "CEIL"      // each started unit counts
	RoundDown     Rounding = "FLOOR"     // only whole units count
	RoundMidpoint Rounding = "MIDPOINT"  // a unit counts from 8 minutes, per service
	RoundCMSTotal Rounding = "CMS_TOTAL" // a unit counts from 8 minutes, over all timed services of the visit together
)

// Basis is what a payer's rule rounds together, for one patient, payer and service date.
type Basis string

// The bases. Services with units of different lengths are never rounded together.
const (
	EachSession        Basis = "SESSION"              // each session alone
	Day                Basis = "DAY"                  // the sessions of a code
	DayAndPractitioner Basis = "DAY_AND_PRACTITIONER" // the sessions of a code with one leading practitioner
	Visit              Basis = "VISIT"                // all sessions; only and always with [RoundCMSTotal]
)

// RoundingRule is a rounding rule that applies from a day until the next rule begins.
type RoundingRule struct {
	StartsOn calendar.Date // the first day of the rule; see [Always]
	Method   Rounding
	Basis    Basis
}

// PayerRules are the rules of an insurance's payer on a service date.
type PayerRules struct {
	PayerID uuid.UUID // zero: no insurance
	RoundingRule
	Modifiers      []ModifierRule
	NoShowConsumes *bool // whether units remain used if the patient does not come; nil: as the organization has set
}

// NoShowRule states whether units remain used if a patient does not come, from a service date on.
type NoShowRule struct {
	StartsOn calendar.Date
	Consumes *bool // nil: as the organization has set
}

// FirstDay returns the first day of the rule.
func (r NoShowRule) FirstDay() calendar.Date { return r.StartsOn }

// Always is the first day of the first rule of every payer.
var Always = calendar.NewDate(1, 1, 1)

// DefaultRounding is the rounding for appointments without an insurance.
var DefaultRounding = RoundingRule{StartsOn: Always, Method: RoundUp, Basis: EachSession}

// InForce returns the rule that applies on the day, or [DefaultRounding] if none does. The
// rules are in order of their first days.
func InForce(rules []RoundingRule, on calendar.Date) RoundingRule {
	if found, ok := RuleOn(rules, on); ok {
		return found
	}
	return DefaultRounding
}

// FirstDay returns the first day of the rule.
func (r RoundingRule) FirstDay() calendar.Date { return r.StartsOn }

// Coverage identifies the rules of an insurance's payer on a service date. A zero insurance id gives [DefaultRounding].
type Coverage struct {
	OrganizationID, InsuranceID uuid.UUID
	ServiceDate                 calendar.Date
}

// Query lists the records that bookings refer to, of one or several organizations.
// Duplicates are answered once.
type Query struct {
	ServiceCodes, Practitioners, Patients, Locations []record.Key
	Coverages                                        []Coverage
}

// Rules are the answer to a [Query]. Records that do not exist are missing from it.
type Rules struct {
	ServiceCodes  map[record.Key]ServiceCode
	Practitioners map[record.Key]Practitioner
	Patients      map[record.Key]Patient
	Locations     map[record.Key]Location
	Payers        map[Coverage]PayerRules
	Organizations map[uuid.UUID]Organization // organizations of all records in the question
}

// ServiceCode is the data of a service that bookings need.
type ServiceCode struct {
	Code                string
	Track               Track
	UnitMinutes         int      // length of a unit, at least 1
	RequiredCredentials []string // any of these qualifies; empty: no credential is required
	Active              bool
}

// NoteRule is the requirements of a service for the notes of its sessions.
type NoteRule struct {
	MinLength int           // characters of the narrative and all sections together
	Sections  []NoteSection // the sections that must have a text; sorted
	Signers   []Signer      // the roles that must sign; sorted
	DueHours  *int          // the hours after the session's end until the note is late; nil: never
	StartsOn  calendar.Date // the first service date to which the rule applies; zero: all
}

// DatedNoteRule is the rule for notes that applies from a service date until the next one begins.
type DatedNoteRule struct {
	StartsOn calendar.Date
	Rule     *NoteRule // nil: no note is required
}

// FirstDay returns the first service date of the rule.
func (r DatedNoteRule) FirstDay() calendar.Date { return r.StartsOn }

// NoteSection is the name of a section of a note.
type NoteSection string

// The sections of notes.
const (
	Goals         NoteSection = "goals"
	Interventions NoteSection = "interventions"
	Response      NoteSection = "response"
	Plan          NoteSection = "plan"
)

// Signer is the role in which a person signs a note.
type Signer string

// The roles of signers.
const (
	TechnicianSigns Signer = "TECHNICIAN" // a practitioner who rendered the session
	SupervisorSigns Signer = "SUPERVISOR" // another practitioner
	CaregiverSigns  Signer = "CAREGIVER"  // a parent or another caregiver of the patient
)

// Practitioner is the data of a practitioner that bookings need.
type Practitioner struct {
	Name        string // for error texts
	Active      bool
	Credentials []Credential
}

// Credential is a qualification with its last day.
type Credential struct {
	Code      string
	ExpiresOn calendar.Date // zero: no expiry known
}

// Qualified reports whether the practitioner holds, on the day, one of the credentials
// that the service requires. Codes are compared case-sensitively.
func (p Practitioner) Qualified(service ServiceCode, on calendar.Date) bool {
	if len(service.RequiredCredentials) == 0 {
		return true
	}
	for _, held := range p.Credentials {
		for _, required := range service.RequiredCredentials {
			if held.Code == required && (held.ExpiresOn.IsZero() || !on.After(held.ExpiresOn)) {
				return true
			}
		}
	}
	return false
}

// Patient is the data of a patient that bookings need.
type Patient struct{ Active bool }

// Location is the data of a location that bookings need.
type Location struct {
	TimeZone       string // an IANA name; empty: the organization's
	PlaceOfService string // the usual code of services there
	Active         bool
}

// Organization is the appointment settings of an organization.
type Organization struct {
	TimeZone        string // an IANA name, such as America/New_York
	LateCancelHours int    // hours before the start; a later cancellation is late
	NoShowConsumes  bool   // whether units remain used if the patient does not come

	EarlyStartMinutes int // an appointment can be started this many minutes before its booked start
	// A session that is longer or shorter than booked by more than this factor needs a confirmation.
	ConfirmLengthFactor float64

	Pairs map[Pair]bool
}

// MayOverlap reports whether services with these codes, of different tracks, may overlap
// for one patient.
func (o Organization) MayOverlap(code, other string) bool { return o.Pairs[PairOf(code, other)] }

// Pair is the codes of two services in canonical order; see [PairOf].
type Pair struct{ Code, OtherCode string }

// PairOf returns the pair of two codes, in either order.
func PairOf(code, other string) Pair {
	if other < code {
		code, other = other, code
	}
	return Pair{code, other}
}
