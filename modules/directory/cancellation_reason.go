package directory

// CancellationReason is an entry of an organization's list of reasons for cancellations.
type CancellationReason struct {
	Record
	Code   string // cannot be changed; once in the organization
	Name   string
	Party  Party // the usual party of cancellations with this reason
	Active bool  // whether new cancellations can have it
}

// Party is the side that cancels an appointment.
type Party string

// The parties.
const (
	PartyFamily Party = "FAMILY" // the patient or the family
	PartyStaff  Party = "STAFF"  // a practitioner
	PartyClinic Party = "CLINIC" // the practice, such as for a closure
	PartyPayer  Party = "PAYER"  // the payer, such as for a missing authorization
	PartyOther  Party = "OTHER"  // none of them, such as for bad weather
)

// CancellationReasonFilter narrows a list of cancellation reasons. Zero values match every reason.
type CancellationReasonFilter struct {
	Page
	Party Party
}
