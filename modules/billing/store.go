package billing

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// store reads and writes exports. It takes the transaction and the organization from the context, and
// fails without either.
type store struct{}

// TableName returns the table name for gorm.
func (Export) TableName() string { return "billing_exports" }

// fileRow is the row of a file.
type fileRow struct {
	OrganizationID uuid.UUID
	ExportID       uuid.UUID
	Format         Format
	Content        string
	Hash           []byte
}

// TableName returns the table name for gorm.
func (fileRow) TableName() string { return "billing_files" }

// claimRow is the row of a claim.
type claimRow struct {
	Claim
	Position  int
	Retracted bool `gorm:"->"` // of its export
}

// TableName returns the table name for gorm.
func (claimRow) TableName() string { return "billing_claims" }

// lineRow is the row of a line.
type lineRow struct {
	OrganizationID  uuid.UUID
	ID              uuid.UUID
	ClaimID         uuid.UUID
	Position        int
	SessionID       uuid.UUID
	SessionVersion  int
	PatientID       uuid.UUID
	AuthorizationID uuid.UUID
	ServiceDate     calendar.Date
	MemberNumber    string
	Code            string
	Modifiers       string
	PlaceOfService  string
	Units           int
	Minutes         int
	RenderingID     uuid.UUID
	SupervisingID   *uuid.UUID
	ChargeCents     int
	Diagnoses       string
}

// TableName returns the table name for gorm.
func (lineRow) TableName() string { return "billing_lines" }

// in returns the line in its claim.
func (r lineRow) in(c Claim) Line {
	return Line{
		ID: r.ID, SessionID: r.SessionID, SessionVersion: r.SessionVersion, PatientID: r.PatientID,
		AuthorizationID: r.AuthorizationID, InsuranceID: &c.InsuranceID, PayerID: &c.PayerID, ServiceDate: r.ServiceDate,
		MemberNumber: r.MemberNumber, AuthNumber: c.AuthNumber, Code: r.Code, Modifiers: strings.Fields(r.Modifiers),
		PlaceOfService: r.PlaceOfService, Units: r.Units, CoveredUnits: r.Units, Minutes: r.Minutes,
		RenderingID: r.RenderingID, SupervisingID: r.SupervisingID, ChargeCents: r.ChargeCents,
		Diagnoses: strings.Fields(r.Diagnoses), Frequency: c.Frequency, ClaimID: &c.ID, ExportID: &c.ExportID,
	}
}

// rowsOf returns the rows of claims and their lines.
func rowsOf(claims []Claim) (rows []claimRow, lines []lineRow) {
	for i, c := range claims {
		rows = append(rows, claimRow{Claim: c, Position: i + 1})
		for j, l := range c.Lines {
			lines = append(lines, lineRow{
				c.OrganizationID, l.ID, c.ID, j + 1, l.SessionID, l.SessionVersion, l.PatientID, l.AuthorizationID, l.ServiceDate,
				l.MemberNumber, l.Code, strings.Join(l.Modifiers, " "), l.PlaceOfService, l.Units, l.Minutes, l.RenderingID,
				l.SupervisingID, l.ChargeCents, strings.Join(l.Diagnoses, " "),
			})
		}
	}
	return rows, lines
}

// insertBatch is the number of rows in one INSERT.
const insertBatch = 1000

func (store) insertExport(ctx context.Context, e Export, claims []Claim) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	if err := tx.Create(&e).Error; err != nil {
		return err
	}
	files := make([]fileRow, len(e.Files))
	for i, f := range e.Files {
		files[i] = fileRow{e.OrganizationID, e.ID, f.Format, f.Content, f.Hash}
	}
	if err := tx.Create(&files).Error; err != nil {
		return err
	}
	rows, lines := rowsOf(claims)
	if err := tx.CreateInBatches(&rows, insertBatch).Error; err != nil {
		return err
	}
	return tx.CreateInBatches(&lines, insertBatch).Error
}

// lastNumber returns the number of the organization's newest export, or 0. Index:
// billing_exports_number_once.
func (store) lastNumber(ctx context.Context) (number int, err error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return 0, err
	}
	err = tx.Model(&Export{}).Select("coalesce(max(number), 0)").Scan(&number).Error
	return number, err
}

// export returns an export with the hashes of its files, in one round trip.
func (s store) export(ctx context.Context, id uuid.UUID) (Export, error) {
	r, err := s.readExport(ctx, id)
	if err != nil {
		return Export{}, err
	}
	if err := db.ReadAll(ctx, r.queries...); err != nil {
		return Export{}, err
	}
	return r.export()
}

// exportReading reads an export with the hashes of its files.
type exportReading struct {
	queries []db.Query
	rows    []Export
	files   []fileRow
}

// readExport returns a reading of an export. Index: the primary keys.
func (store) readExport(ctx context.Context, id uuid.UUID) (*exportReading, error) {
	_, organization, err := db.Tenant(ctx)
	r := &exportReading{}
	r.queries = []db.Query{
		db.Into(&r.rows, "SELECT * FROM billing_exports WHERE organization_id = $1 AND id = $2", organization, id),
		db.Into(&r.files, `SELECT format, hash FROM billing_files WHERE organization_id = $1 AND export_id = $2
			ORDER BY format`, organization, id),
	}
	return r, err
}

// export returns the export that was read. The error is [ErrExportNotFound].
func (r *exportReading) export() (Export, error) {
	if len(r.rows) == 0 {
		return Export{}, ErrExportNotFound
	}
	e := r.rows[0].utc()
	for _, f := range r.files {
		e.Files = append(e.Files, File{Format: f.Format, Hash: f.Hash})
	}
	return e, nil
}

func (e Export) utc() Export {
	e.CreatedAt = e.CreatedAt.UTC()
	if e.RetractedAt != nil {
		e.RetractedAt = new(e.RetractedAt.UTC())
	}
	return e
}

// exports lists exports. Index: the primary key.
func (store) exports(ctx context.Context, payer uuid.UUID, page db.Keyset) ([]Export, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	tx = tx.Session(&gorm.Session{})
	narrowed := tx
	if payer != uuid.Nil {
		narrowed = tx.Where("payer_id = ?", payer)
	}
	found, err := db.Find[Export](ctx, page.Apply(narrowed))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	at, ids := map[uuid.UUID]*Export{}, make([]uuid.UUID, len(found))
	for i := range found {
		found[i] = found[i].utc()
		ids[i], at[found[i].ID] = found[i].ID, &found[i]
	}
	files, err := db.Find[fileRow](ctx, tx.Select("export_id", "format", "hash").Where("export_id IN ?", ids).
		Order("format"))
	for _, f := range files {
		at[f.ExportID].Files = append(at[f.ExportID].Files, File{Format: f.Format, Hash: f.Hash})
	}
	return found, err
}

// file returns a reading of a file of an export. The error is [ErrExportNotFound]. Index: the primary key.
func (store) file(ctx context.Context, export uuid.UUID, format Format) (db.Reading[File], error) {
	_, organization, err := db.Tenant(ctx)
	var rows []fileRow
	return db.Reading[File]{
		Queries: []db.Query{db.Into(&rows,
			"SELECT * FROM billing_files WHERE organization_id = $1 AND export_id = $2 AND format = $3",
			organization, export, format)},
		Value: func(context.Context) (File, error) {
			if len(rows) == 0 {
				return File{}, ErrExportNotFound
			}
			return File{rows[0].Format, rows[0].Content, rows[0].Hash}, nil
		},
	}, err
}

func (store) retract(ctx context.Context, e Export) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&Export{}).Where("id = ?", e.ID).UpdateColumns(map[string]any{
		"retracted_at": e.RetractedAt, "retracted_by": e.RetractedBy, "retract_reason": e.RetractReason,
	}).Error
}
