package directory

import (
	"context"

	"github.com/google/uuid"
)

// patientAddress is a row: the address of a patient.
type patientAddress struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	PatientID      uuid.UUID `gorm:"primaryKey"`
	PostalAddress  `gorm:"embedded"`
}

func (store) loadAddresses(ctx context.Context, found []Patient) error {
	rows, err := partRows[patientAddress](ctx, "patient_id", found)
	addAddresses(found, rows)
	return err
}

// addAddresses adds their addresses to patients.
func addAddresses(found []Patient, rows []patientAddress) {
	byID := partsByOwner(rows, func(r patientAddress) (uuid.UUID, PostalAddress) { return r.PatientID, r.PostalAddress })
	for i, p := range found {
		if addresses := byID[p.ID]; len(addresses) > 0 {
			found[i].Address = addresses[0]
		}
	}
}

func (store) saveAddress(ctx context.Context, p *Patient) error {
	var rows []patientAddress
	if !p.Address.IsZero() {
		rows = append(rows, patientAddress{p.OrganizationID, p.ID, p.Address})
	}
	return replaceParts(ctx, "patient_id", p.ID, rows)
}
