package billing

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/httpx"
)

// exportBody is a set of files for a payer.
type exportBody struct {
	ID          uuid.UUID     `json:"id"`
	Number      int           `json:"number"` // The number of the export, which is the control number of its X12 file.
	PayerID     uuid.UUID     `json:"payerId"`
	From        calendar.Date `json:"from"`        // The first service date.
	To          calendar.Date `json:"to"`          // The last service date.
	Claims      int           `json:"claims"`      // The number of claims.
	Lines       int           `json:"lines"`       // The number of lines.
	Units       int           `json:"units"`       // The units of all lines.
	ChargeCents int           `json:"chargeCents"` // The charge of all lines in US cents.
	Files       []fileBody    `json:"files"`       // The files.
	CreatedBy   uuid.UUID     `json:"createdBy"`
	CreatedAt   time.Time     `json:"createdAt"`
	RetractedAt *time.Time    `json:"retractedAt"` // The time of the retraction. Null if the export is in force.
	RetractedBy *uuid.UUID    `json:"retractedBy"` // The user who retracted the export.
	// The reason of the retraction.
	RetractReason *string `json:"retractReason"`
	exportReferences
}

// fileBody is a file of an export.
type fileBody struct {
	Format Format `json:"format"` // The format of the file.
	Hash   string `json:"hash"`   // The SHA-256 of the content in hexadecimal.
}

// Location returns the path of the export.
func (b exportBody) Location() string { return "/api/v1/billing/exports/" + b.ID.String() }

func exportBodyOf(e Export) exportBody {
	return exportBody{
		e.ID, e.Number, e.PayerID, e.From, e.To, e.ClaimCount, e.LineCount, e.Units, e.ChargeCents,
		httpx.Bodies(e.Files, func(f File) fileBody { return fileBody{f.Format, hex.EncodeToString(f.Hash)} }),
		e.CreatedBy, e.CreatedAt, e.RetractedAt, e.RetractedBy, e.RetractReason,
		exportReferences{},
	}
}

type exportRequest struct {
	PayerID uuid.UUID `json:"payerId" validate:"required"`
	// The first service date.
	From calendar.Date `json:"from" validate:"required"`
	// The last service date.
	To calendar.Date `json:"to" validate:"required,gtefield=From"`
}

func (s *Service) handleExport(ctx context.Context, in exportRequest) (exportBody, error) {
	if err := check(in.From, in.To); err != nil {
		return exportBody{}, err
	}
	e, err := s.Export(ctx, NewExport(in))
	return exportBodyOf(e), err
}

type exportsRequest struct {
	httpx.PageQuery
	PayerID uuid.UUID `query:"payerId"`
}

func (s *Service) handleExports(ctx context.Context, in exportsRequest) (httpx.Page[exportBody], error) {
	page := db.Keyset{Descending: true, Limit: in.Size() + 1}
	if err := in.DecodeCursor(&page.After); err != nil {
		return httpx.Page[exportBody]{}, err
	}
	found, err := s.Exports(ctx, in.PayerID, page)
	return httpx.PageOf(in.PageQuery, found, exportBodyOf, func(e Export) any { return db.Position{ID: e.ID} }), err
}

func (s *Service) handleGetExport(ctx context.Context, in byID) (exportBody, error) {
	e, err := s.ExportByID(ctx, in.ID)
	return exportBodyOf(e), err
}

// claimBody is a claim: the lines of one authorization number.
type claimBody struct {
	ID         uuid.UUID `json:"id"`
	Number     string    `json:"number"` // The number of the claim for the payer.
	PatientID  uuid.UUID `json:"patientId"`
	AuthNumber string    `json:"authNumber"` // The payer's number of the authorization.
	// The frequency code: 1 original, 7 replacement, 8 void.
	Frequency Frequency `json:"frequency"`
	// The claim that it replaces or voids. Null for an original claim.
	ReplacesClaimID *uuid.UUID `json:"replacesClaimId"`
	// The payer's number of the claim. Null until it is entered.
	ControlNumber *string    `json:"controlNumber"`
	ChargeCents   int        `json:"chargeCents"` // The charge of the claim in US cents.
	Lines         []lineBody `json:"lines"`       // The lines as they were exported.
	claimReferences
}

func claimBodyOf(c Claim) claimBody {
	b := claimBody{
		c.ID, c.Number, c.PatientID, c.AuthNumber, c.Frequency, c.ReplacesID, c.ControlNumber, c.ChargeCents,
		[]lineBody{},
		claimReferences{},
	}
	for _, l := range c.Lines {
		l.State = Exported
		if c.Retracted {
			l.State = Retracted
		}
		b.Lines = append(b.Lines, lineBodyOf(l))
	}
	return b
}

// claimsBody has the claims of an export.
type claimsBody struct {
	Data []claimBody `json:"data"` // The claims in the order of the files.
}

func (s *Service) handleClaims(ctx context.Context, in byID) (claimsBody, error) {
	found, err := s.Claims(ctx, in.ID)
	return claimsBody{httpx.Bodies(found, claimBodyOf)}, err
}

type retractRequest struct {
	byID
	Reason string `json:"reason" validate:"required,max=500,text"` // The reason of the retraction.
}

func (s *Service) handleRetract(ctx context.Context, in retractRequest) (exportBody, error) {
	e, err := s.Retract(ctx, in.ID, in.Reason)
	return exportBodyOf(e), err
}

type controlNumberRequest struct {
	byID
	// The payer's number of the claim.
	ControlNumber string `json:"controlNumber" validate:"required,max=50,text"`
}

func (s *Service) handleControlNumber(ctx context.Context, in controlNumberRequest) (claimBody, error) {
	c, err := s.SetControlNumber(ctx, in.ID, in.ControlNumber)
	return claimBodyOf(c), err
}

// handleFile returns the handler of the files of a format, which it also gives their ending.
func (s *Service) handleFile(format Format) func(ctx context.Context, in byID) (httpx.File, error) {
	return func(ctx context.Context, in byID) (httpx.File, error) {
		e, err := s.FileOf(ctx, in.ID, format)
		if err != nil {
			return httpx.File{}, err
		}
		name := fmt.Sprintf("claims-%d.%s", e.Number, strings.ToLower(string(format)))
		return httpx.File{Name: name, Content: e.Files[0].Content}, nil
	}
}
