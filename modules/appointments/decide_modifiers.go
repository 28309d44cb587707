package appointments

import (
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/scheduling"
)

// takeModifiers copies the patients' modifiers from the appointment of the session.
func (s *Session) takeModifiers(a Appointment) {
	for i := range s.Patients {
		if at := a.indexOf(s.Patients[i].PatientID); at >= 0 {
			s.Patients[i].Modifiers = a.Patients[at].Modifiers
		}
	}
}

// setModifiers gives each patient the modifiers of the service on the day: the given ones, or else the
// authorization's and then the modifiers by the payer's rules. A claim line has room for four.
func (d *draft) setModifiers(on calendar.Date) {
	for i := range d.a.Patients {
		p := &d.a.Patients[i]
		p.Modifiers = d.modifiersOf(*p, on)
	}
}

func (d *draft) modifiersOf(p Participant, on calendar.Date) scheduling.Modifiers {
	if d.a.GivenModifiers != nil {
		return *d.a.GivenModifiers
	}
	placeOfService := ""
	if d.a.PlaceOfService != nil {
		placeOfService = *d.a.PlaceOfService
	}
	leading := d.rules.Practitioners[d.named(d.a.Practitioners[0])]
	granted, _ := d.ledger.Authorization(d.caller.OrganizationID, p.AuthorizationID)
	return granted.Modifiers.And(scheduling.ModifiersBy(d.payerOn(p, on).Modifiers, p.Code, placeOfService, leading, on))
}
