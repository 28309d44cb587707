package billing

import (
	"slices"

	"omnirapeutic/modules/directory"
)

// requirement is a field that a claim needs.
type requirement struct {
	field string
	known bool
}

// missingOf returns a reason for each field that a line needs and that is unknown. Without a line, it
// checks the organization only. X12 005010X222A1 requires these fields; see x12.go for the loops.
func (b book) missingOf(l *Line) []Reason {
	i := b.data.Identity
	all := []requirement{
		{"organization.npi", i.NPI != nil},
		{"organization.taxId", i.TaxID != nil},
		{"organization.taxonomyCode", i.TaxonomyCode != nil},
		{"organization.address", !i.Address.IsZero()},
		{"organization.submitterId", i.SubmitterID != nil},
		{"organization.contactName", i.ContactName != nil},
		{"organization.contactPhone", i.ContactPhone != nil},
		{"organization.receiverId", i.ReceiverID != nil},
		{"organization.receiverName", i.ReceiverName != nil},
	}
	if l != nil {
		all = append(all, b.neededBy(*l)...)
	}
	var reasons []Reason
	for _, r := range all {
		if !r.known {
			reasons = append(reasons, Reason{reasonMissing, r.field})
		}
	}
	return reasons
}

// neededBy returns the fields that a line needs of its own records. X12 005010X222A1 requires the
// supervising provider (loop 2310D) if the rendering provider is supervised. Who is supervised is a rule
// of the payer or the service: registered behavior technicians work under supervision (BACB, RBT
// Handbook), but payers differ on naming the supervisor.
func (b book) neededBy(l Line) []requirement {
	patient, rendering := b.data.Patients[l.PatientID], b.data.Practitioners[l.RenderingID]
	all := []requirement{
		{"patient.name", legible(patient.FirstName) && legible(patient.LastName)},
		{"patient.sex", patient.Sex != nil},
		{"patient.address", !patient.Address.IsZero()},
		{"patient.diagnoses", len(l.Diagnoses) > 0},
		{"authorization.authNumber", l.AuthNumber != ""},
		{"authorization.insuranceId", l.InsuranceID != nil},
		{"session.placeOfService", l.PlaceOfService != ""},
		{"practitioner.npi", rendering.NPI != nil},
		{"practitioner.taxonomyCode", rendering.TaxonomyCode != nil},
	}
	var insurance directory.Insurance
	var payer directory.Payer
	if l.InsuranceID != nil {
		insurance = b.data.Insurances[*l.InsuranceID]
		payer = b.data.Payers[insurance.PayerID]
	}
	supervised := slices.Concat(payer.SupervisedCredentials, b.data.ServiceCodes[l.ServiceCodeID].SupervisedCredentials)
	isSupervised := l.SupervisingID != nil && *l.SupervisingID != l.RenderingID
	if rendering.NeedsSupervision(supervised, l.ServiceDate) {
		all = append(all, requirement{"session.supervisingPractitionerId", isSupervised})
	}
	if l.SupervisingID != nil {
		all = append(all, requirement{"supervisor.npi", b.data.Practitioners[*l.SupervisingID].NPI != nil})
	}
	if l.InsuranceID == nil {
		return all
	}
	all = append(
		all,
		requirement{"insurance.relationship", insurance.Relationship != nil},
		requirement{"payer.payerCode", payer.PayerCode != nil},
		requirement{"payer.claimFilingCode", payer.ClaimFilingCode != nil},
		requirement{"payer.rate", l.ChargeCents > 0},
	)
	if insurance.Relationship != nil && *insurance.Relationship != directory.Self {
		all = append(all, requirement{
			"insurance.subscriber",
			legible(textOf(insurance.SubscriberFirstName)) && legible(textOf(insurance.SubscriberLastName)),
		})
	}
	return all
}

// legible reports whether something is left of a text in the character set of X12 files.
func legible(text string) bool { return x12Text(text, len(text)) != "" }
