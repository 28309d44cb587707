package appointments

import (
	"slices"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/fault"
)

// refuseTransfer returns an error if one of the two authorizations does not exist, or if they do
// not match.
func (s *scene) refuseTransfer(r request) *fault.Error {
	from, ok := s.ledger.Authorization(r.caller.OrganizationID, r.transfer.From)
	if !ok {
		return authorization.ErrNotFound
	}
	to, ok := s.ledger.Authorization(r.caller.OrganizationID, r.transfer.To)
	var message string
	switch {
	case !ok:
		message = "does not exist"
	case r.transfer.To == r.transfer.From:
		message = "must be another authorization"
	case to.PatientID != from.PatientID:
		message = "belongs to another patient"
	case to.ServiceCodeID != from.ServiceCodeID:
		message = "is for another service"
	default:
		return nil
	}
	field := "toAuthorizationId"
	if r.settling != nil {
		field = "moveToAuthorizationId" // the field of an authorization's change
	}
	return fault.InvalidFields(fault.Field{Field: field, Code: "reference", Message: message})
}

// withoutOvertaken returns the request without the parts whose appointments earlier requests of the
// batch have started, cancelled or moved. Appointments that these requests have booked are not
// moved, as if they had been booked later.
func (d *bookingState) withoutOvertaken(r request) request {
	if r.kind != transfer {
		return r
	}
	r.parts = slices.DeleteFunc(slices.Clone(r.parts), func(part request) bool {
		return !r.moves(d.appointments[part.key()])
	})
	return r
}

// moveUnits moves the patient's units to the other authorization. The appointment is decided like a
// new booking with that authorization, on the current date of its start.
func (d *draft) moveUnits() error {
	place := d.a.placeOn(d.transfer.From)
	if err := d.changeAuthorization(place, d.transfer.To); err != nil {
		return err
	}
	d.touch()
	return d.placeAgain()
}
