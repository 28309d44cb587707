package billing

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
)

// lineReasonBody is a reason that blocks a line.
type lineReasonBody struct {
	// The code: `missing` for a missing field, `control-number` for the payer's missing control number,
	// `claim-blocked` if another line of the claim is blocked, or a conflict of the session, such as
	// `unauthorized`.
	Code string `json:"code"`
	// The missing field, such as `practitioner.npi`. Null for other codes.
	Field *string `json:"field"`
}

// lineBody is a claim line: the service of one session for one patient.
type lineBody struct {
	ID              uuid.UUID        `json:"id"`
	State           State            `json:"state"`   // The state of the line.
	Reasons         []lineReasonBody `json:"reasons"` // The reasons that block it.
	SessionID       uuid.UUID        `json:"sessionId"`
	SessionVersion  int              `json:"sessionVersion"` // The version of the session from which the line follows.
	PatientID       uuid.UUID        `json:"patientId"`
	PayerID         *uuid.UUID       `json:"payerId"`
	InsuranceID     *uuid.UUID       `json:"insuranceId"`
	AuthorizationID uuid.UUID        `json:"authorizationId"`
	ServiceDate     calendar.Date    `json:"serviceDate"`
	MemberNumber    string           `json:"memberNumber"`   // The member number of the patient's coverage.
	AuthNumber      string           `json:"authNumber"`     // The payer's number of the authorization.
	Code            string           `json:"code"`           // The code of the service.
	Modifiers       []string         `json:"modifiers"`      // The modifiers of the code.
	PlaceOfService  string           `json:"placeOfService"` // The place-of-service code.
	Units           int              `json:"units"`          // The billed units.
	Minutes         int              `json:"minutes"`        // The minutes of the service.
	// The practitioner who rendered the service.
	RenderingPractitionerID uuid.UUID `json:"renderingPractitionerId"`
	// The practitioner who supervised the service. Null if there was none.
	SupervisingPractitionerID *uuid.UUID `json:"supervisingPractitionerId"`
	ChargeCents               int        `json:"chargeCents"` // The charge in US cents.
	Diagnoses                 []string   `json:"diagnoses"`   // The ICD-10 codes, the principal one first.
	// The frequency code of the claim: 1 original, 7 replacement, 8 void.
	Frequency Frequency `json:"frequency"`
	// The claim that has the line or, before the export, the claim that it replaces or voids. Null for a
	// new claim.
	ClaimID *uuid.UUID `json:"claimId"`
	// The export that has the line. Null before the export.
	ExportID *uuid.UUID `json:"exportId"`
	lineReferences
}

func lineBodyOf(l Line) lineBody {
	b := lineBody{
		l.ID, l.State,
		[]lineReasonBody{},
		l.SessionID, l.SessionVersion, l.PatientID, l.PayerID, l.InsuranceID,
		l.AuthorizationID, l.ServiceDate, l.MemberNumber, l.AuthNumber, l.Code, append([]string{}, l.Modifiers...),
		l.PlaceOfService, l.Units, l.Minutes, l.RenderingID, l.SupervisingID, l.ChargeCents,
		append([]string{}, l.Diagnoses...), l.Frequency, l.ClaimID, l.ExportID, lineReferences{},
	}
	for _, r := range l.Reasons {
		body := lineReasonBody{Code: r.Code}
		if r.Field != "" {
			body.Field = &r.Field
		}
		b.Reasons = append(b.Reasons, body)
	}
	return b
}

type linesRequest struct {
	httpx.PageQuery
	period
	PayerID uuid.UUID `query:"payerId"`
	// The state of the lines.
	State State `query:"state" validate:"omitempty,oneof=BLOCKED READY EXPORTED SUPERSEDED RETRACTED"`
	// The code of a reason that blocks the lines.
	Reason string `query:"reason" validate:"omitempty,max=50,text"`
}

// linePosition is the position of a line in the list.
type linePosition struct {
	ServiceDate              calendar.Date
	SessionID, PatientID, ID uuid.UUID
	SessionVersion           int
}

func (p linePosition) line() Line {
	return Line{
		ServiceDate: p.ServiceDate, SessionID: p.SessionID, PatientID: p.PatientID, ID: p.ID, SessionVersion: p.SessionVersion,
	}
}

func (s *Service) handleLines(ctx context.Context, in linesRequest) (httpx.Page[lineBody], error) {
	var after *linePosition
	if err := check(in.From, in.To); err != nil {
		return httpx.Page[lineBody]{}, err
	}
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[lineBody]{}, err
	}
	found, err := s.Lines(ctx, LineFilter{
		From: in.From, To: in.To, PayerID: in.PayerID, State: in.State, Reason: in.Reason,
	})
	if after != nil {
		found = slices.DeleteFunc(found, func(l Line) bool { return compareLines(l, after.line()) <= 0 })
	}
	found = found[:min(len(found), in.Size()+1)]
	show(ctx, found[:min(len(found), in.Size())]...)
	return httpx.PageOf(in.PageQuery, found, lineBodyOf, func(l Line) any {
		return linePosition{l.ServiceDate, l.SessionID, l.PatientID, l.ID, l.SessionVersion}
	}), err
}

// reconciledUnitsBody compares the consumed units with the lines.
type reconciledUnitsBody struct {
	ConsumedUnits int `json:"consumedUnits"` // The units that the ledger counts as consumed.
	ExportedUnits int `json:"exportedUnits"` // The units on exported lines.
	ReadyUnits    int `json:"readyUnits"`    // The units on ready lines.
	WaitingUnits  int `json:"waitingUnits"`  // The units on blocked lines.
	// The units that were consumed without a session, as after a no-show.
	UnitsWithoutSession int  `json:"unitsWithoutSession"`
	Agrees              bool `json:"agrees"` // Whether every consumed unit is accounted for.
}

func reconciledUnitsBodyOf(b Balance) reconciledUnitsBody {
	return reconciledUnitsBody{b.Consumed, b.Exported, b.Ready, b.Waiting, b.WithoutSession, b.Agrees()}
}

// reconciledAuthorizationBody is the balance of an authorization.
type reconciledAuthorizationBody struct {
	AuthorizationID uuid.UUID `json:"authorizationId"`
	reconciledUnitsBody
}

// reconciliationBody compares the ledger with the lines of a period.
type reconciliationBody struct {
	reconciledUnitsBody
	// The authorizations with consumed units or lines in the period.
	Authorizations []reconciledAuthorizationBody `json:"authorizations"`
}

type reconciliationRequest struct{ period }

func (s *Service) handleReconciliation(ctx context.Context, in reconciliationRequest) (reconciliationBody, error) {
	if err := check(in.From, in.To); err != nil {
		return reconciliationBody{}, err
	}
	r, err := s.Reconcile(ctx, in.From, in.To)
	b := reconciliationBody{reconciledUnitsBody: reconciledUnitsBodyOf(r.Balance), Authorizations: []reconciledAuthorizationBody{}}
	b.Agrees = r.Agrees()
	for _, each := range r.Balances {
		b.Authorizations = append(b.Authorizations, reconciledAuthorizationBody{each.AuthorizationID, reconciledUnitsBodyOf(each)})
	}
	return b, err
}
