package billing

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
)

// filing is an export with everything that its files contain.
type filing struct {
	export Export
	claims []Claim
	data   directory.ClaimData
}

// files returns the export as files. None of them contains clinical text.
func (f filing) files() ([]File, error) {
	text, err := f.jsonDocument()
	if err != nil {
		return nil, err
	}
	table, err := f.csvDocument()
	if err != nil {
		return nil, err
	}
	return []File{newFile(CSV, table), newFile(JSON, text), newFile(X12, f.x12Document())}, nil
}

func newFile(format Format, content string) File {
	hash := sha256.Sum256([]byte(content))
	return File{format, content, hash[:]}
}

// filedLine is a line in the CSV and the JSON file.
type filedLine struct {
	LineID      uuid.UUID `json:"lineId"`
	ClaimNumber string    `json:"claimNumber"` // The number of the claim for the payer.
	// The frequency code of the claim: 1 original, 7 replacement, 8 void.
	Frequency Frequency `json:"frequency"`
	// The payer's number of the claim that is replaced or voided. Empty for an original claim.
	ControlNumber  string        `json:"payerControlNumber"`
	Payer          string        `json:"payer"`          // The name of the payer.
	PayerCode      string        `json:"payerCode"`      // The payer's id in claims.
	Patient        string        `json:"patient"`        // The last and the first name of the patient.
	MemberNumber   string        `json:"memberNumber"`   // The member number of the patient's coverage.
	AuthNumber     string        `json:"authNumber"`     // The payer's number of the authorization.
	ServiceDate    calendar.Date `json:"serviceDate"`    // The day of the service.
	Code           string        `json:"code"`           // The code of the service.
	Modifiers      []string      `json:"modifiers"`      // The modifiers of the code.
	PlaceOfService string        `json:"placeOfService"` // The place-of-service code.
	Units          int           `json:"units"`          // The billed units.
	Minutes        int           `json:"minutes"`        // The minutes of the service.
	ChargeCents    int           `json:"chargeCents"`    // The charge in US cents.
	Diagnoses      []string      `json:"diagnoses"`      // The ICD-10 codes, the principal one first.
	RenderingNPI   string        `json:"renderingNpi"`   // The NPI of the rendering practitioner.
	Rendering      string        `json:"rendering"`      // The last and the first name of that practitioner.
	// The NPI of the supervising practitioner. Empty if there was none.
	SupervisingNPI string    `json:"supervisingNpi"`
	Supervising    string    `json:"supervising"` // The last and the first name of that practitioner.
	SessionID      uuid.UUID `json:"sessionId"`
	SessionVersion int       `json:"sessionVersion"` // The exported version of the session.
	// The positions of the diagnoses in the claim, from 1.
	DiagnosisPointer []string `json:"diagnosisPointers"`
}

// lines returns all lines of the claims.
func (f filing) lines() []filedLine {
	all := []filedLine{}
	for _, c := range f.claims {
		payer, patient := f.data.Payers[c.PayerID], f.data.Patients[c.PatientID]
		for _, l := range c.Lines {
			filed := filedLine{
				LineID: l.ID, ClaimNumber: c.Number, Frequency: c.Frequency, ControlNumber: c.Replaces, Payer: payer.Name,
				PayerCode: textOf(payer.PayerCode), Patient: patient.LastName + ", " + patient.FirstName,
				MemberNumber: l.MemberNumber, AuthNumber: l.AuthNumber, ServiceDate: l.ServiceDate, Code: l.Code,
				Modifiers: append([]string{}, l.Modifiers...), PlaceOfService: l.PlaceOfService, Units: l.Units,
				Minutes: l.Minutes, ChargeCents: l.ChargeCents, Diagnoses: l.Diagnoses, SessionID: l.SessionID,
				SessionVersion: l.SessionVersion, DiagnosisPointer: c.pointersOf(l),
			}
			rendering := f.data.Practitioners[l.RenderingID]
			filed.Rendering, filed.RenderingNPI = rendering.LastName+", "+rendering.FirstName, textOf(rendering.NPI)
			if l.SupervisingID != nil {
				by := f.data.Practitioners[*l.SupervisingID]
				filed.Supervising, filed.SupervisingNPI = by.LastName+", "+by.FirstName, textOf(by.NPI)
			}
			all = append(all, filed)
		}
	}
	return all
}

// filedExport is the JSON file of an export.
type filedExport struct {
	Number int           `json:"number"` // The number of the export.
	From   calendar.Date `json:"from"`   // The first service date.
	To     calendar.Date `json:"to"`     // The last service date.
	Lines  []filedLine   `json:"lines"`  // The lines in the order of the claims.
}

func (f filing) jsonDocument() (string, error) {
	text, err := json.MarshalIndent(filedExport{f.export.Number, f.export.From, f.export.To, f.lines()}, "", "  ")
	return string(text) + "\n", err
}

func (f filing) csvDocument() (string, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true // RFC 4180
	rows := [][]string{{
		"lineId", "claimNumber", "frequency", "payerControlNumber", "payer", "payerCode", "patient", "memberNumber",
		"authNumber", "serviceDate", "code", "modifiers", "placeOfService", "units", "minutes", "charge", "diagnoses",
		"diagnosisPointers", "renderingNpi", "rendering", "supervisingNpi", "supervising", "sessionId", "sessionVersion",
	}}
	for _, l := range f.lines() {
		rows = append(rows, []string{
			l.LineID.String(), l.ClaimNumber, string(l.Frequency), cell(l.ControlNumber), cell(l.Payer), cell(l.PayerCode),
			cell(l.Patient), cell(l.MemberNumber), cell(l.AuthNumber), l.ServiceDate.String(), l.Code,
			strings.Join(l.Modifiers, " "), l.PlaceOfService, fmt.Sprint(l.Units), fmt.Sprint(l.Minutes), money(l.ChargeCents),
			strings.Join(l.Diagnoses, " "), strings.Join(l.DiagnosisPointer, " "), l.RenderingNPI, cell(l.Rendering),
			l.SupervisingNPI, cell(l.Supervising), l.SessionID.String(), fmt.Sprint(l.SessionVersion),
		})
	}
	err := w.WriteAll(rows)
	return b.String(), err
}

// cell returns a text that spreadsheets do not read as a formula (OWASP, CSV Injection).
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

func sameID(a, b *uuid.UUID) bool { return a == b || a != nil && b != nil && *a == *b }
