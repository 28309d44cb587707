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

// supervisedCredential is a row: a credential whose holders render a service only under supervision.
type supervisedCredential serviceCodeCredential

// TableName returns the table name for gorm.
func (supervisedCredential) TableName() string { return "service_code_supervised_credentials" }

func (store) loadCredentials(ctx context.Context, found []Practitioner) error {
	rows, err := partRows[practitionerCredential](ctx, "practitioner_id", found)
	addCredentials(found, rows)
	return err
}

// addCredentials adds their credentials to practitioners.
func addCredentials(found []Practitioner, rows []practitionerCredential) {
	byID := partsByOwner(rows, func(r practitionerCredential) (uuid.UUID, Credential) {
		return r.PractitionerID, Credential{r.Credential, r.ExpiresOn}
	})
	for i, p := range found {
		found[i].Credentials = sortedCredentials(byID[p.ID])
	}
}

func (store) saveCredentials(ctx context.Context, p *Practitioner) error {
	rows := make([]practitionerCredential, len(p.Credentials))
	for i, c := range p.Credentials {
		rows[i] = practitionerCredential{p.OrganizationID, p.ID, c.Code, c.ExpiresOn}
	}
	return replaceParts(ctx, "practitioner_id", p.ID, rows)
}

func (s store) loadServiceCredentials(ctx context.Context, found []ServiceCode) error {
	if err := s.loadSupervised(ctx, found); err != nil {
		return err
	}
	byID, err := partsOf(ctx, "service_code_id", found, func(r serviceCodeCredential) (uuid.UUID, string) {
		return r.ServiceCodeID, r.Credential
	})
	for i, c := range found {
		found[i].RequiredCredentials = sortedCopy(byID[c.ID])
	}
	return err
}

func (store) loadSupervised(ctx context.Context, found []ServiceCode) error {
	rows, err := partRows[supervisedCredential](ctx, "service_code_id", found)
	addSupervised(found, rows)
	return err
}

// addSupervised adds the credentials whose holders need supervision to service codes.
func addSupervised(found []ServiceCode, rows []supervisedCredential) {
	byID := partsByOwner(rows, func(r supervisedCredential) (uuid.UUID, string) { return r.ServiceCodeID, r.Credential })
	for i, c := range found {
		found[i].SupervisedCredentials = sortedCopy(byID[c.ID])
	}
}

func (store) saveServiceCredentials(ctx context.Context, c *ServiceCode) error {
	supervised := make([]supervisedCredential, len(c.SupervisedCredentials))
	for i, code := range c.SupervisedCredentials {
		supervised[i] = supervisedCredential{c.OrganizationID, c.ID, code}
	}
	if err := replaceParts(ctx, "service_code_id", c.ID, supervised); err != nil {
		return err
	}
	rows := make([]serviceCodeCredential, len(c.RequiredCredentials))
	for i, code := range c.RequiredCredentials {
		rows[i] = serviceCodeCredential{c.OrganizationID, c.ID, code}
	}
	return replaceParts(ctx, "service_code_id", c.ID, rows)
}

// partsOf reads the rows that belong to any of the owners, and returns their values by the id of the
// owner, which is in the named column. split returns the owner and the value of a row. Index: the
// primary key.
func partsOf[R, V, T any, P storedRecord[T]](
	ctx context.Context, column string, owners []T, split func(R) (uuid.UUID, V),
) (map[uuid.UUID][]V, error) {
	rows, err := partRows[R, T, P](ctx, column, owners)
	return partsByOwner(rows, split), err
}

// partRows reads the rows of [partsOf].
func partRows[R, T any, P storedRecord[T]](ctx context.Context, column string, owners []T) ([]R, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(owners))
	for i := range owners {
		ids[i] = P(&owners[i]).head().ID
	}
	return db.Find[R](ctx, tx.Where(column+" IN ?", ids))
}

// partsByOwner returns the values of rows by the id of the owner.
func partsByOwner[R, V any](rows []R, split func(R) (uuid.UUID, V)) map[uuid.UUID][]V {
	parts := map[uuid.UUID][]V{}
	for _, r := range rows {
		id, value := split(r)
		parts[id] = append(parts[id], value)
	}
	return parts
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
