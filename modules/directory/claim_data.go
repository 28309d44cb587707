package directory

import (
	"maps"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// ClaimData is the master data that claims need, by ids.
type ClaimData struct {
	Organization  Organization
	Identity      BillingIdentity
	Patients      map[uuid.UUID]Patient
	Insurances    map[uuid.UUID]Insurance
	Payers        map[uuid.UUID]Payer
	Practitioners map[uuid.UUID]Practitioner
	ServiceCodes  map[uuid.UUID]ServiceCode
	Diagnoses     map[uuid.UUID][]Diagnosis // by patient, sorted by rank
	Rates         []Rate                    // sorted by first day
}

// AddPatients adds patients, with their insurances and diagnoses.
func (d *ClaimData) AddPatients(other ClaimData) {
	if d.Patients == nil {
		d.Patients, d.Insurances = map[uuid.UUID]Patient{}, map[uuid.UUID]Insurance{}
		d.Diagnoses = map[uuid.UUID][]Diagnosis{}
	}
	maps.Copy(d.Patients, other.Patients)
	maps.Copy(d.Insurances, other.Insurances)
	maps.Copy(d.Diagnoses, other.Diagnoses)
}

// RateOn returns the cents per unit of a service for a payer on a day, and whether there is a rate.
func (d ClaimData) RateOn(payer, serviceCode uuid.UUID, day calendar.Date) (cents int, ok bool) {
	for _, r := range d.Rates {
		if r.PayerID == payer && r.ServiceCodeID == serviceCode && !day.Before(r.StartsOn) {
			cents, ok = r.CentsPerUnit, true
		}
	}
	return cents, ok
}

// DiagnosesOn returns the codes of a patient's diagnoses on a day, the principal one first.
func (d ClaimData) DiagnosesOn(patient uuid.UUID, day calendar.Date) []string {
	codes := []string{}
	for _, each := range d.Diagnoses[patient] {
		if each.InForceOn(day) {
			codes = append(codes, each.Code)
		}
	}
	return codes
}
