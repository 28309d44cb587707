package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// entryOwners is the record scope of calendar entries. Index: the primary key of the practitioners.
var entryOwners = db.Owners{
	Practitioner: `calendar_entries.id IN (SELECT staff.entry_id FROM calendar_entry_practitioners staff
		WHERE staff.organization_id = @scope_organization AND staff.practitioner_id = (%s))`,
}

// TableName returns the table name for gorm.
func (CalendarEntry) TableName() string { return "calendar_entries" }

// entryPractitioner is the row of a practitioner's part in a calendar entry.
type entryPractitioner struct {
	OrganizationID, EntryID uuid.UUID
	Position                int
	PractitionerID          uuid.UUID
	Kind                    EntryKind
	Span                    `gorm:"embedded"`
}

// TableName returns the table name for gorm.
func (entryPractitioner) TableName() string { return "calendar_entry_practitioners" }

// entryStore stores calendar entries.
type entryStore struct{}

func (entryStore) insertEntry(ctx context.Context, e CalendarEntry) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	if err := tx.Create(&e).Error; err != nil {
		return err
	}
	rows := make([]entryPractitioner, len(e.Practitioners))
	for i, id := range e.Practitioners {
		rows[i] = entryPractitioner{e.OrganizationID, e.ID, i, id, e.Kind, e.Span}
	}
	return tx.Create(&rows).Error
}

// entries returns entries within the caller's record scope, by page of starts. Indexes: calendar_entries_by_start,
// the primary key.
func (s entryStore) entries(ctx context.Context, f EntryFilter, within Span, page db.Keyset) ([]CalendarEntry, error) {
	tx, organization, err := db.ScopedTenant(ctx, entryOwners)
	if err != nil {
		return nil, err
	}
	tx = within.narrow(tx)
	if len(f.Kinds) > 0 {
		tx = tx.Where("kind IN ?", f.Kinds)
	}
	if len(f.Practitioners) > 0 {
		handle, err := db.Handle(ctx)
		if err != nil {
			return nil, err
		}
		tx = tx.Where("id IN (?)", within.narrow(handle.Table("calendar_entry_practitioners").Select("entry_id").
			Where("organization_id = ? AND practitioner_id IN ?", organization, f.Practitioners)))
	}
	found, err := db.Find[CalendarEntry](ctx, page.Apply(tx))
	if err != nil {
		return nil, err
	}
	return found, s.addPractitioners(ctx, organization, found)
}

// entry returns one entry within the caller's record scope. The error is [ErrEntryNotFound].
func (s entryStore) entry(ctx context.Context, id uuid.UUID) (CalendarEntry, error) {
	tx, organization, err := db.ScopedTenant(ctx, entryOwners)
	if err != nil {
		return CalendarEntry{}, err
	}
	found, err := db.FindOne[CalendarEntry](ctx, tx.Where("id = ?", id))
	if db.IsNotFound(err) {
		err = ErrEntryNotFound
	}
	if err != nil {
		return CalendarEntry{}, err
	}
	one := []CalendarEntry{found}
	err = s.addPractitioners(ctx, organization, one)
	return one[0], err
}

// addPractitioners reads the practitioners of the entries.
func (entryStore) addPractitioners(ctx context.Context, organization uuid.UUID, entries []CalendarEntry) error {
	if len(entries) == 0 {
		return nil
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	at := map[uuid.UUID]*CalendarEntry{}
	ids := make([]uuid.UUID, len(entries))
	for i := range entries {
		entries[i].Span = entries[i].utc()
		at[entries[i].ID], ids[i] = &entries[i], entries[i].ID
	}
	var rows []entryPractitioner
	err = tx.Where("organization_id = ? AND entry_id IN ?", organization, ids).Order("position").Find(&rows).Error
	for _, r := range rows {
		at[r.EntryID].Practitioners = append(at[r.EntryID].Practitioners, r.PractitionerID)
	}
	return err
}

func (entryStore) deleteEntry(ctx context.Context, e CalendarEntry) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	if err := tx.Where("organization_id = ? AND entry_id = ?", e.OrganizationID, e.ID).
		Delete(&entryPractitioner{}).Error; err != nil {
		return err
	}
	return tx.Where("organization_id = ? AND id = ?", e.OrganizationID, e.ID).Delete(&CalendarEntry{}).Error
}

// entriesOf returns the entries of a practitioner's feed that overlap the span, sorted by start. Index:
// calendar_entry_practitioners_by_start.
func (feedStore) entriesOf(ctx context.Context, f Feed, within Span) ([]CalendarEntry, error) {
	if f.PractitionerID == nil {
		return nil, nil
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []CalendarEntry
	err = tx.Raw(`
		SELECT e.id, e.kind, e.starts_at, e.ends_at, e.created_at
		FROM calendar_entry_practitioners p JOIN calendar_entries e ON e.organization_id = p.organization_id
			AND e.id = p.entry_id
		WHERE p.organization_id = $1 AND p.practitioner_id = $2
			AND p.starts_at > $3::timestamptz - interval '24 hours' AND p.ends_at > $3 AND p.starts_at < $4
		ORDER BY e.starts_at, e.id`, f.OrganizationID, *f.PractitionerID, within.Start, within.End).Scan(&found).Error
	return found, err
}
