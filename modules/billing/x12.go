package billing

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
)

// The delimiters of X12 files. [x12Text] removes them from values.
const (
	elementEnd   = "*"
	componentEnd = ":"
	segmentEnd   = "~"
	repetition   = "^"
)

// The maximum lengths of elements (X12 005010X222A1, data element dictionary).
const (
	maxOrganization = 60 // NM103 of an organization, and of a person's last name
	maxFirstName    = 35 // NM104
	maxAddress      = 55 // N301, N302
	maxCity         = 30 // N401
	maxIdentifier   = 50 // REF02
	maxItemNumber   = 30 // REF02 of the line item control number
)

// x12Text returns a text in the basic character set of X12 (X12.6, section 3.3.1): capital letters
// without accents, digits, spaces and punctuation, without the delimiters.
func x12Text(text string, most int) string {
	const punctuation = "!\"&'()+,-./;?="
	var b strings.Builder
	for _, c := range norm.NFD.String(strings.ToUpper(text)) {
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == ' ' || strings.ContainsRune(punctuation, c) {
			b.WriteRune(c)
		} else if unicode.IsSpace(c) {
			b.WriteByte(' ')
		}
	}
	clean := strings.TrimSpace(b.String())
	return strings.TrimSpace(clean[:min(len(clean), most)])
}

// x12Writer writes segments, and counts them.
type x12Writer struct {
	b     strings.Builder
	count int
	level int // of the last HL segment
}

// segment writes a segment without trailing empty elements.
func (w *x12Writer) segment(elements ...string) {
	for len(elements) > 1 && elements[len(elements)-1] == "" {
		elements = elements[:len(elements)-1]
	}
	w.b.WriteString(strings.Join(elements, elementEnd))
	w.b.WriteString(segmentEnd)
	w.count++
}

// x12Document returns the claims as one 837 professional file (ASC X12 005010X222A1): one interchange
// with one group and one transaction set.
func (f filing) x12Document() string {
	w := &x12Writer{}
	i := f.data.Identity
	at := f.export.CreatedAt
	control := fmt.Sprintf("%09d", f.export.Number)
	sender, receiver := x12Text(*i.SubmitterID, 15), x12Text(*i.ReceiverID, 15)
	w.segment("ISA", "00", spaces(10), "00", spaces(10), "ZZ", pad(sender), "ZZ", pad(receiver), at.Format("060102"),
		at.Format("1504"), repetition, "00501", control, "0", "P", componentEnd)
	w.segment("GS", "HC", sender, receiver, day(at), at.Format("1504"), fmt.Sprint(f.export.Number), "X", "005010X222A1")
	w.count = 0
	w.segment("ST", "837", "0001", "005010X222A1")
	w.segment("BHT", "0019", "00", fmt.Sprint(f.export.Number), day(at), at.Format("1504"), "CH")
	f.writeParties(w)
	for _, c := range f.claims {
		f.writeSubscriber(w, c)
		f.writeClaim(w, c)
	}
	w.segment("SE", fmt.Sprint(w.count+1), "0001")
	w.segment("GE", "1", fmt.Sprint(f.export.Number))
	w.segment("IEA", "1", control)
	return w.b.String()
}

func spaces(n int) string { return strings.Repeat(" ", n) }

// pad fills an id of an interchange to its 15 characters.
func pad(id string) string { return id + spaces(15-len(id)) } //nolint:mnd // as the comment says

func day(at time.Time) string { return at.Format("20060102") }

func date(d calendar.Date) string { return d.Time().Format("20060102") }

// writeParties writes the submitter, the receiver and the billing provider (loops 1000A, 1000B, 2000A,
// 2010AA).
func (f filing) writeParties(w *x12Writer) {
	i := f.data.Identity
	name := x12Text(f.data.Organization.Name, maxOrganization)
	w.segment("NM1", "41", "2", name, "", "", "", "", "46", x12Text(*i.SubmitterID, maxIdentifier))
	w.segment("PER", "IC", x12Text(*i.ContactName, maxOrganization), "TE", *i.ContactPhone)
	w.segment("NM1", "40", "2", x12Text(*i.ReceiverName, maxOrganization), "", "", "", "", "46",
		x12Text(*i.ReceiverID, maxIdentifier))
	w.level++
	w.segment("HL", fmt.Sprint(w.level), "", "20", "1")
	w.segment("PRV", "BI", "PXC", *i.TaxonomyCode)
	w.segment("NM1", "85", "2", name, "", "", "", "", "XX", *i.NPI)
	w.address(i.Address)
	w.segment("REF", "EI", *i.TaxID)
}

func (w *x12Writer) address(a directory.PostalAddress) {
	w.segment("N3", x12Text(a.Line1, maxAddress), x12Text(a.Line2, maxAddress))
	w.segment("N4", x12Text(a.City, maxCity), a.State, a.Zip)
}

// demographics writes the birth date and the sex of a patient.
func (w *x12Writer) demographics(p directory.Patient) {
	sex := "U"
	if p.Sex != nil {
		sex = string(*p.Sex)[:1]
	}
	w.segment("DMG", "D8", date(p.DateOfBirth), sex)
}

// writeSubscriber writes the subscriber, the payer and, if the patient is a dependent, the patient
// (loops 2000B, 2010BA, 2010BB, 2000C, 2010CA).
func (f filing) writeSubscriber(w *x12Writer, c Claim) {
	insurance, patient := f.data.Insurances[c.InsuranceID], f.data.Patients[c.PatientID]
	payer := f.data.Payers[c.PayerID]
	relationship := directory.Self
	if insurance.Relationship != nil {
		relationship = *insurance.Relationship
	}
	self := relationship == directory.Self
	last, first, code, children := patient.LastName, patient.FirstName, "18", "0"
	if !self {
		last, first, code, children = textOf(insurance.SubscriberLastName), textOf(insurance.SubscriberFirstName), "", "1"
	}
	w.level++
	subscriber := w.level
	w.segment("HL", fmt.Sprint(subscriber), "1", "22", children)
	w.segment("SBR", "P", code, "", "", "", "", "", "", textOf(payer.ClaimFilingCode))
	w.segment("NM1", "IL", "1", x12Text(last, maxOrganization), x12Text(first, maxFirstName), "", "", "", "MI",
		x12Text(insurance.MemberNumber, maxIdentifier))
	if self {
		w.address(patient.Address)
		w.demographics(patient)
	}
	w.segment("NM1", "PR", "2", x12Text(payer.Name, maxOrganization), "", "", "", "", "PI",
		x12Text(textOf(payer.PayerCode), maxIdentifier))
	if self {
		return
	}
	w.level++
	w.segment("HL", fmt.Sprint(w.level), fmt.Sprint(subscriber), "23", "0")
	// Individual relationship codes (X12 element 1069).
	w.segment("PAT", map[directory.Relationship]string{
		directory.Spouse: "01", directory.Child: "19", directory.Other: "G8",
	}[relationship])
	w.segment("NM1", "QC", "1", x12Text(patient.LastName, maxOrganization), x12Text(patient.FirstName, maxFirstName))
	w.address(patient.Address)
	w.demographics(patient)
}

// writeClaim writes a claim with its lines (loops 2300, 2310B, 2310D, 2400, 2420A, 2420D).
func (f filing) writeClaim(w *x12Writer, c Claim) {
	first := c.Lines[0]
	w.segment("CLM", c.Number, money(c.ChargeCents), "", "",
		strings.Join([]string{first.PlaceOfService, "B", string(c.Frequency)}, componentEnd), "Y", "A", "Y", "Y")
	w.segment("REF", "G1", x12Text(c.AuthNumber, maxIdentifier))
	if c.Frequency != Original {
		// Required for a replacement or a void, and not allowed otherwise (X12, request for interpretation 1538).
		w.segment("REF", "F8", x12Text(c.Replaces, maxIdentifier))
	}
	diagnoses := []string{"HI"}
	for i, code := range c.diagnosesOf() {
		qualifier := "ABF"
		if i == 0 {
			qualifier = "ABK"
		}
		diagnoses = append(diagnoses, qualifier+componentEnd+strings.ReplaceAll(code, ".", ""))
	}
	w.segment(diagnoses...)
	f.writeRendering(w, first.RenderingID)
	supervisor := c.supervisor()
	f.writeSupervisor(w, supervisor)
	for i, l := range c.Lines {
		f.writeLine(w, c, i, l)
		if l.RenderingID != first.RenderingID {
			f.writeRendering(w, l.RenderingID)
		}
		if !sameID(l.SupervisingID, supervisor) {
			f.writeSupervisor(w, l.SupervisingID)
		}
	}
}

// supervisor returns the supervising practitioner of the claim: that of its first line, or nil if a
// line has none, because the claim's applies to all lines that name no other one.
func (c Claim) supervisor() *uuid.UUID {
	if slices.ContainsFunc(c.Lines, func(l Line) bool { return l.SupervisingID == nil }) {
		return nil
	}
	return c.Lines[0].SupervisingID
}

// writeRendering writes the rendering practitioner of a claim or a line.
func (f filing) writeRendering(w *x12Writer, id uuid.UUID) {
	rendering := f.data.Practitioners[id]
	w.segment("NM1", "82", "1", x12Text(rendering.LastName, maxOrganization), x12Text(rendering.FirstName, maxFirstName),
		"", "", "", "XX", textOf(rendering.NPI))
	w.segment("PRV", "PE", "PXC", textOf(rendering.TaxonomyCode))
}

// writeSupervisor writes the supervising practitioner of a claim or a line, if there is one.
func (f filing) writeSupervisor(w *x12Writer, id *uuid.UUID) {
	if id == nil {
		return
	}
	supervisor := f.data.Practitioners[*id]
	w.segment("NM1", "DQ", "1", x12Text(supervisor.LastName, maxOrganization),
		x12Text(supervisor.FirstName, maxFirstName), "", "", "", "XX", textOf(supervisor.NPI))
}

func (f filing) writeLine(w *x12Writer, c Claim, i int, l Line) {
	service := append([]string{"HC", l.Code}, l.Modifiers...)
	place := l.PlaceOfService
	if place == c.Lines[0].PlaceOfService {
		place = "" // only a place that differs from the claim's is given
	}
	w.segment("LX", fmt.Sprint(i+1))
	w.segment("SV1", strings.Join(service, componentEnd), money(l.ChargeCents), "UN", fmt.Sprint(l.Units), place, "",
		strings.Join(c.pointersOf(l), componentEnd))
	w.segment("DTP", "472", "D8", date(l.ServiceDate))
	w.segment("REF", "6R", strings.ReplaceAll(l.ID.String(), "-", "")[:maxItemNumber])
}

// money returns an amount in dollars.
func money(cents int) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) } //nolint:mnd // cents in a dollar
