package appointments

import (
	"slices"

	"omnirapeutic/platform/fault"
)

// refuseTransfer returns what stands against a transfer whatever it moves: nil
// where the two authorizations are there and fit each other.
func (s *scene) refuseTransfer(r request) *fault.Error {
	from, ok := s.book.Terms(r.caller.OrganizationID, r.transfer.From)
	if !ok {
		return s.notFound
	}
	to, ok := s.book.Terms(r.caller.OrganizationID, r.transfer.To)
	var message string
	switch {
	case !ok:
		message = "does not exist"
	case r.transfer.To == r.transfer.From:
		message = "is the authorization that the bookings are on"
	case to.PatientID != from.PatientID:
		message = "is an authorization of another patient"
	case to.ServiceCodeID != from.ServiceCodeID:
		message = "is an authorization of another service"
	default:
		return nil
	}
	field := "toAuthorizationId"
	if r.settling != nil {
		field = "moveToAuthorizationId" // of the change
	}
	return fault.InvalidFields(fault.Field{Field: field, Code: "reference", Message: message})
}

// asItIs returns the request without those parts that no longer are what they were
// read as: requests before it have started, cancelled or moved them. What those have
// newly booked is not moved, as if it had been booked after this.
func (d *desk) asItIs(r request) request {
	if r.kind != transfer {
		return r
	}
	r.parts = slices.DeleteFunc(slices.Clone(r.parts), func(part request) bool {
		return !r.moves(d.appointments[part.key()])
	})
	return r
}

// moveUnits takes the patient's units from the other authorization. The appointment is decided like
// a new booking with that authorization, on the current date of its start.
func (d *draft) moveUnits() error {
	place := d.a.placeOn(d.transfer.From)
	if err := d.changeAuthorization(place, d.transfer.To); err != nil {
		return err
	}
	d.touch()
	return d.placeAnew()
}
