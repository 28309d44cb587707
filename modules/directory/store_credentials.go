package directory

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// practitionerCredential is a row: a credential of a practitioner.
type practitionerCredential struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	PractitionerID uuid.UUID `gorm:"primaryKey"`
	Credential     string    `gorm:"primaryKey"`
	ExpiresOn      calendar.Date
}

// serviceCodeCredential is a row: a credential that qualifies for a service.
type serviceCodeCredential struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ServiceCodeID  uuid.UUID `gorm:"primaryKey"`
	Credential     string    `gorm:"primaryKey"`
}

func (store) loadCredentials(ctx context.Context, found []Practitioner) error {
	ids := make([]uuid.UUID, len(found))
	for i, p := range found {
		ids[i] = p.ID
	}
	rows, err := partsOf[practitionerCredential](ctx, "practitioner_id", ids)
	byID := map[uuid.UUID][]Credential{}
	for _, r := range rows {
		byID[r.PractitionerID] = append(byID[r.PractitionerID], Credential{r.Credential, r.ExpiresOn})
	}
	for i, id := range ids {
		found[i].Credentials = sortedCredentials(byID[id])
	}
	return err
}

func (store) saveCredentials(ctx context.Context, p *Practitioner) error {
	rows := make([]practitionerCredential, len(p.Credentials))
	for i, c := range p.Credentials {
		rows[i] = practitionerCredential{p.OrganizationID, p.ID, c.Code, c.ExpiresOn}
	}
	return replaceParts(ctx, "practitioner_id", p.ID, rows)
}

func (store) loadRequiredCredentials(ctx context.Context, found []ServiceCode) error {
	ids := make([]uuid.UUID, len(found))
	for i, c := range found {
		ids[i] = c.ID
	}
	rows, err := partsOf[serviceCodeCredential](ctx, "service_code_id", ids)
	byID := map[uuid.UUID][]string{}
	for _, r := range rows {
		byID[r.ServiceCodeID] = append(byID[r.ServiceCodeID], r.Credential)
	}
	for i, id := range ids {
		found[i].RequiredCredentials = sortedCopy(byID[id])
	}
	return err
}

func (store) saveRequiredCredentials(ctx context.Context, c *ServiceCode) error {
	rows := make([]serviceCodeCredential, len(c.RequiredCredentials))
	for i, code := range c.RequiredCredentials {
		rows[i] = serviceCodeCredential{c.OrganizationID, c.ID, code}
	}
	return replaceParts(ctx, "service_code_id", c.ID, rows)
}

// partsOf reads the rows that belong to any of the owners. Index: the primary key.
func partsOf[R any](ctx context.Context, owner string, ids []uuid.UUID) ([]R, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []R
	err = tx.Where(owner+" IN ?", ids).Find(&rows).Error
	return rows, err
}

// replaceParts replaces all rows of the owner.
func replaceParts[R any](ctx context.Context, owner string, id uuid.UUID, rows []R) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	if err := tx.Where(owner+" = ?", id).Delete(new(R)).Error; err != nil || len(rows) == 0 {
		return err
	}
	if tx, err = db.Handle(ctx); err != nil {
		return err
	}
	return tx.Create(&rows).Error
}
