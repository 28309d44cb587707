package demo

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/scheduling"
)

// notes requires notes for treatments of the last week, and signs some of Tom's: his sessions have
// notes in every state.
func (p Practice) notes(own context.Context, tom, treatment uuid.UUID) error {
	_, err := p.Directory.ChangeServiceCode(own, directory.ServiceCodeChange{
		ID: treatment, Note: patch.SetClearable(directory.NoteRequirements{
			Signers:  []scheduling.Signer{scheduling.TechnicianSigns, scheduling.SupervisorSigns},
			DueHours: new(72), StartsOn: calendar.DateIn(p.Now, p.Now.Location()).AddDays(-7),
		}),
	})
	if err != nil {
		return err
	}
	technician, err := p.as(own, rbac.Technician)
	if err != nil {
		return err
	}
	analyst, err := p.as(own, rbac.Practitioner)
	if err != nil {
		return err
	}
	service := p.Appointments(p.Now)
	found, err := service.Sessions(own, appointments.SessionFilter{
		Participants: appointments.Participants{Practitioners: []uuid.UUID{tom}}, Voided: new(false),
		Page: db.Keyset{Column: "starts_at", Expression: "CAST(%s AS timestamptz)", Descending: true, Limit: 12},
	})
	if err != nil {
		return err
	}
	for i, session := range found {
		if session.Narrative == nil || i%4 == 1 {
			continue
		}
		signature := appointments.Signature{Role: scheduling.TechnicianSigns, TextHash: session.TextHash()}
		if _, err := service.Sign(technician, session.ID, "", signature); err != nil {
			return err
		}
		if i%4 == 2 {
			continue
		}
		signature.Role = scheduling.SupervisorSigns
		if _, err := service.Sign(analyst, session.ID, "", signature); err != nil {
			return err
		}
	}
	return nil
}
