package directory

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// Organizations are the only table without an organization_id; their id takes its place. Callers
// of these functions check which organizations the user may see.

func (store) takeOrganization(ctx context.Context, id uuid.UUID) (Organization, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return Organization{}, err
	}
	return db.FindOne[Organization](ctx, tx.Where("id = ?", id))
}

// findOrganizations lists a page of organizations, or only the given one unless it is zero.
// Index: the primary key.
func (store) findOrganizations(ctx context.Context, p Page, only uuid.UUID) ([]Organization, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	if only != uuid.Nil {
		tx = tx.Where("id = ?", only)
	}
	var found []Organization
	err = p.Apply(tx).Find(&found).Error
	return found, err
}

// organizationsByID returns the organizations with the ids, sorted by name. Index: the primary key.
func (store) organizationsByID(ctx context.Context, ids []uuid.UUID) ([]Organization, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []Organization
	err = tx.Raw("SELECT * FROM organizations WHERE id = ANY ($1) ORDER BY lower(name), id",
		db.UUIDs(ids)).Scan(&found).Error
	return found, err
}

func (store) organizationsNamed(ctx context.Context, name string) ([]Organization, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []Organization
	err = tx.Where("name = ?", name).Order("id").Find(&found).Error
	return found, err
}

func (store) insertOrganization(ctx context.Context, o Organization) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Create(&o).Error
}

func (store) updateOrganization(ctx context.Context, o Organization) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	result := tx.Model(&Organization{}).Where("id = ?", o.ID).UpdateColumns(map[string]any{
		"name": o.Name, "time_zone": o.TimeZone, "late_cancel_hours": o.LateCancelHours,
		"no_show_consumes": o.NoShowConsumes, "disabled": o.Disabled,
		"early_start_minutes": o.EarlyStartMinutes, "confirm_length_factor": o.ConfirmLengthFactor,
		"version": o.Version, "updated_at": o.UpdatedAt,
	})
	if result.Error == nil && result.RowsAffected != 1 {
		return fmt.Errorf("directory: a change of one organization touched %d rows", result.RowsAffected)
	}
	return result.Error
}
