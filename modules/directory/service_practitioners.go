package directory

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

var practitioners = crud[Practitioner, *Practitioner]{
	name: "practitioner", notFound: ErrPractitionerNotFound,
	store:     recordStore[Practitioner]{db.Owners{Practitioner: "practitioners.id = (%s)"}},
	loadParts: store{}.loadCredentials, saveParts: store{}.saveCredentials,
	recorded: recordedPractitioner,
}

// CreatePractitioner creates a practitioner. Errors: [fault.ErrInvalid], [ErrNPITaken].
func (s *Service) CreatePractitioner(ctx context.Context, n NewPractitioner) (Practitioner, error) {
	return practitioners.create(ctx, s, Practitioner{
		FirstName: n.FirstName, LastName: n.LastName, LicenseNumber: n.LicenseNumber, NPI: n.NPI,
		Credentials: credentialsOf(n.Credentials), Status: cmp.Or(n.Status, Active),
		TaxonomyCode: n.TaxonomyCode,
	})
}

// Practitioner returns a practitioner. The error is [ErrPractitionerNotFound].
func (s *Service) Practitioner(ctx context.Context, id uuid.UUID) (Practitioner, error) {
	return practitioners.get(ctx, s, id)
}

// Practitioners lists practitioners.
func (s *Service) Practitioners(ctx context.Context, f PractitionerFilter) ([]Practitioner, error) {
	return practitioners.list(ctx, s, f.Page, equals("status", f.Status))
}

// ChangePractitioner changes a practitioner. Errors: [patch.ErrStale], [ErrPractitionerNotFound],
// [fault.ErrInvalid], [ErrNPITaken].
func (s *Service) ChangePractitioner(ctx context.Context, c PractitionerChange) (Practitioner, error) {
	return practitioners.change(ctx, s, c.ID, c.Match, func(p *Practitioner) {
		c.FirstName.Apply(&p.FirstName)
		c.LastName.Apply(&p.LastName)
		c.LicenseNumber.Apply(&p.LicenseNumber)
		c.NPI.Apply(&p.NPI)
		if c.Credentials.Given {
			p.Credentials = credentialsOf(c.Credentials.Value)
		}
		c.Status.Apply(&p.Status)
		c.TaxonomyCode.Apply(&p.TaxonomyCode)
	})
}

// PractitionerExists reports whether the caller's organization has the practitioner, in the
// transaction of the context.
func (s *Service) PractitionerExists(ctx context.Context, id uuid.UUID) (bool, error) {
	return s.store.practitionerExists(ctx, id)
}
