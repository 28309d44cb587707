package app

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/rbac"
)

// accessDirectory provides access control with organizations and practitioners.
type accessDirectory struct{ *directory.Service }

// Organizations implements [rbac.Directory].
func (d accessDirectory) Organizations(ctx context.Context, ids []uuid.UUID) ([]rbac.Organization, error) {
	found, err := d.OrganizationsByID(ctx, ids)
	organizations := make([]rbac.Organization, len(found))
	for i, o := range found {
		organizations[i] = rbac.Organization{ID: o.ID, Name: o.Name, Disabled: o.Disabled}
	}
	return organizations, err
}
