package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// x12Segment is a segment with its elements; element 0 is its name.
type x12Segment []string

// at returns an element, or an empty text.
func (s x12Segment) at(i int) string {
	if i < len(s) {
		return s[i]
	}
	return ""
}

// x12File is a file that was split at the delimiters that its ISA segment names.
type x12File struct {
	segments             []x12Segment
	component, separator string
}

// readX12 splits a file. The ISA segment has a fixed length: its fourth character is the element
// separator, and its last two are the component separator and the segment terminator (ASC X12.5,
// interchange control structures).
func readX12(text string) (x12File, error) {
	const lengthOfISA = 106
	if len(text) < lengthOfISA || !strings.HasPrefix(text, "ISA") {
		return x12File{}, fmt.Errorf("it has no ISA segment")
	}
	f := x12File{separator: text[3:4], component: text[104:105]}
	for part := range strings.SplitSeq(strings.TrimSuffix(text, text[105:106]), text[105:106]) {
		f.segments = append(f.segments, strings.Split(part, f.separator))
	}
	return f, nil
}

// x12Rule is a requirement on the segments of a file that begin with the given elements. Empty values
// match any.
type x12Rule struct {
	loop    string
	begins  string // the first elements of the segment, separated by *
	element int    // the position of the required element; 0: only the segment is required
	valid   func(string) bool
	after   string // a segment that comes earlier in the file; "": any position
	source  string
}

func is(values ...string) func(string) bool {
	return func(v string) bool { return slices.Contains(values, v) }
}

func filled(v string) bool { return strings.TrimSpace(v) != "" }

func digits(n int) func(string) bool {
	return func(v string) bool {
		_, err := strconv.ParseUint(v, 10, 64)
		return err == nil && len(v) == n
	}
}

func isDate(v string) bool {
	_, err := time.Parse("20060102", v)
	return err == nil
}

func isAmount(v string) bool {
	amount, err := strconv.ParseFloat(v, 64)
	return err == nil && amount > 0
}

// isNPI checks the check digit (CMS, NPI check digit: Luhn with the prefix 80840).
func isNPI(v string) bool {
	sum := 0
	for i, c := range "80840" + v {
		d := int(c - '0')
		if (len("80840"+v)-i)%2 == 0 {
			d = d*2/10 + d*2%10
		}
		sum += d
	}
	return len(v) == 10 && sum%10 == 0
}

const (
	tr3 = "ASC X12 005010X222A1"
	cms = "CMS, 837P companion guide"
)

// x12Rules are the loops, segments and elements that every file needs. The implementation guide
// defines the loops and the numbers of the elements.
var x12Rules = []x12Rule{
	{"ISA", "ISA", 6, filled, "", tr3 + ", appendix C, ISA06"},
	{"ISA", "ISA", 8, filled, "", tr3 + ", appendix C, ISA08"},
	{"ISA", "ISA", 12, is("00501"), "", tr3 + ", appendix C, ISA12"},
	{"ISA", "ISA", 13, digits(9), "", tr3 + ", appendix C, ISA13"},
	{"GS", "GS", 1, is("HC"), "ISA", tr3 + ", appendix C, GS01"},
	{"GS", "GS", 8, is("005010X222A1"), "ISA", tr3 + ", appendix C, GS08"},
	{"ST", "ST", 1, is("837"), "GS", tr3 + ", ST01"},
	{"ST", "ST", 3, is("005010X222A1"), "GS", tr3 + ", ST03"},
	{"BHT", "BHT", 1, is("0019"), "ST", tr3 + ", BHT01"},
	{"BHT", "BHT", 2, is("00", "18"), "ST", tr3 + ", BHT02"},
	{"BHT", "BHT", 4, isDate, "ST", tr3 + ", BHT04"},
	{"BHT", "BHT", 6, is("CH", "RP", "31"), "ST", tr3 + ", BHT06"},
	{"1000A", "NM1*41", 3, filled, "BHT", tr3 + ", loop 1000A, NM103"},
	{"1000A", "NM1*41", 9, filled, "BHT", tr3 + ", loop 1000A, NM109"},
	{"1000A", "PER*IC", 2, filled, "NM1*41", tr3 + ", loop 1000A, PER02"},
	{"1000A", "PER*IC", 4, digits(10), "NM1*41", tr3 + ", loop 1000A, PER04"},
	{"1000B", "NM1*40", 3, filled, "PER*IC", tr3 + ", loop 1000B, NM103"},
	{"1000B", "NM1*40", 9, filled, "PER*IC", tr3 + ", loop 1000B, NM109"},
	{"2000A", "HL*1**20", 4, is("1"), "NM1*40", tr3 + ", loop 2000A, HL04"},
	{"2000A", "PRV*BI*PXC", 3, filled, "HL*1**20", tr3 + ", loop 2000A, PRV03"},
	{"2010AA", "NM1*85", 3, filled, "HL*1**20", tr3 + ", loop 2010AA, NM103"},
	{"2010AA", "NM1*85", 8, is("XX"), "HL*1**20", tr3 + ", loop 2010AA, NM108"},
	{"2010AA", "NM1*85", 9, isNPI, "HL*1**20", "45 CFR 162.410; " + tr3 + ", loop 2010AA, NM109"},
	{"2010AA", "N3", 1, filled, "NM1*85", tr3 + ", loop 2010AA, N301"},
	{"2010AA", "N4", 1, filled, "NM1*85", tr3 + ", loop 2010AA, N401"},
	{"2010AA", "N4", 2, filled, "NM1*85", tr3 + ", loop 2010AA, N402"},
	{"2010AA", "N4", 3, digits(9), "NM1*85", cms + ", loop 2010AA, N403: nine digits"},
	{"2010AA", "REF*EI", 2, digits(9), "NM1*85", tr3 + ", loop 2010AA, REF02"},
	{"2000B", "HL*2*1*22", 4, is("0", "1"), "REF*EI", tr3 + ", loop 2000B, HL04"},
	{"2000B", "SBR", 1, is("P", "S", "T"), "HL*2*1*22", tr3 + ", loop 2000B, SBR01"},
	{"2000B", "SBR", 2, is("18"), "HL*2*1*22", tr3 + ", loop 2000B, SBR02"},
	{"2000B", "SBR", 9, filled, "HL*2*1*22", tr3 + ", loop 2000B, SBR09"},
	{"2010BA", "NM1*IL", 3, filled, "SBR", tr3 + ", loop 2010BA, NM103"},
	{"2010BA", "NM1*IL", 8, is("MI", "II"), "SBR", tr3 + ", loop 2010BA, NM108"},
	{"2010BA", "NM1*IL", 9, filled, "SBR", tr3 + ", loop 2010BA, NM109"},
	{"2010BA", "DMG*D8", 2, isDate, "NM1*IL", tr3 + ", loop 2010BA, DMG02"},
	{"2010BA", "DMG*D8", 3, is("F", "M", "U"), "NM1*IL", tr3 + ", loop 2010BA, DMG03"},
	{"2010BB", "NM1*PR", 3, filled, "NM1*IL", tr3 + ", loop 2010BB, NM103"},
	{"2010BB", "NM1*PR", 8, is("PI", "XV"), "NM1*IL", tr3 + ", loop 2010BB, NM108"},
	{"2010BB", "NM1*PR", 9, filled, "NM1*IL", tr3 + ", loop 2010BB, NM109"},
	{"2300", "CLM", 1, filled, "NM1*PR", tr3 + ", loop 2300, CLM01"},
	{"2300", "CLM", 2, isAmount, "NM1*PR", tr3 + ", loop 2300, CLM02"},
	{"2300", "CLM", 5, func(v string) bool {
		parts := strings.Split(v, ":")
		return len(parts) == 3 && digits(2)(parts[0]) && parts[1] == "B" && is("1", "7", "8")(parts[2])
	}, "NM1*PR", tr3 + ", loop 2300, CLM05"},
	{"2300", "CLM", 6, is("Y", "N"), "NM1*PR", tr3 + ", loop 2300, CLM06"},
	{"2300", "CLM", 7, is("A", "B", "C"), "NM1*PR", tr3 + ", loop 2300, CLM07"},
	{"2300", "CLM", 8, is("Y", "N", "W"), "NM1*PR", tr3 + ", loop 2300, CLM08"},
	{"2300", "CLM", 9, is("Y", "I"), "NM1*PR", tr3 + ", loop 2300, CLM09"},
	{"2300", "REF*G1", 2, filled, "CLM", tr3 + ", loop 2300, REF02 of the prior authorization"},
	{
		"2300", "HI", 1, func(v string) bool { return strings.HasPrefix(v, "ABK:") && !strings.Contains(v, ".") }, "CLM",
		tr3 + ", loop 2300, HI01: the principal ICD-10 diagnosis",
	},
	{"2310B", "NM1*82", 9, isNPI, "HI", tr3 + ", loop 2310B, NM109"},
	{"2310B", "PRV*PE*PXC", 3, filled, "NM1*82", tr3 + ", loop 2310B, PRV03"},
	{"2400", "LX*1", 1, is("1"), "HI", tr3 + ", loop 2400, LX01"},
	{"2400", "SV1", 1, func(v string) bool { return strings.HasPrefix(v, "HC:") && len(v) >= 8 }, "LX*1", tr3 + ", loop 2400, SV101"},
	{"2400", "SV1", 2, isAmount, "LX*1", tr3 + ", loop 2400, SV102"},
	{"2400", "SV1", 3, is("UN", "MJ"), "LX*1", tr3 + ", loop 2400, SV103"},
	{"2400", "SV1", 4, isAmount, "LX*1", tr3 + ", loop 2400, SV104"},
	{"2400", "SV1", 7, filled, "LX*1", tr3 + ", loop 2400, SV107"},
	{"2400", "DTP*472*D8", 3, isDate, "SV1", tr3 + ", loop 2400, DTP03"},
	{"2400", "REF*6R", 2, filled, "SV1", tr3 + ", loop 2400, REF02 of the line item control number"},
	{"SE", "SE", 1, filled, "LX", tr3 + ", SE01"},
	{"GE", "GE", 1, is("1"), "SE", tr3 + ", appendix C, GE01"},
	{"IEA", "IEA", 1, is("1"), "GE", tr3 + ", appendix C, IEA01"},
	{"IEA", "IEA", 2, digits(9), "GE", tr3 + ", appendix C, IEA02"},
}

// begins reports whether a segment begins with the elements.
func (s x12Segment) begins(pattern string) bool {
	elements := strings.Split(pattern, "*")
	return len(s) >= len(elements) && slices.Equal(s[:len(elements)], x12Segment(elements))
}

// first returns the position of the first segment that begins with the elements, from a position on,
// or -1.
func (f x12File) first(pattern string, from int) int {
	for i := from; i < len(f.segments); i++ {
		if f.segments[i].begins(pattern) {
			return i
		}
	}
	return -1
}

// heads begin loops, or end the last one.
var heads = []string{"NM1", "HL", "CLM", "LX", "ST", "SE", "GE", "IEA"}

// find returns the position of the segment of a rule, or -1. A segment that begins no loop must be in
// the loop that the rule's earlier segment begins or is in.
func (f x12File) find(r x12Rule) int {
	if r.after == "" {
		return f.first(r.begins, 0)
	}
	from := f.first(r.after, 0)
	at := f.first(r.begins, max(from, 0))
	if from < 0 || at < 0 {
		return -1
	}
	name, _, _ := strings.Cut(r.begins, "*")
	if slices.Contains(heads, name) {
		return at
	}
	for _, s := range f.segments[from+1 : at] {
		if slices.Contains(heads, s[0]) {
			return -1
		}
	}
	return at
}

// problems returns the sources of the rules that a file breaks, and the broken counts and totals.
func (f x12File) problems() []string {
	var problems []string
	for _, r := range x12Rules {
		at := f.find(r)
		if at < 0 || !r.valid(f.segments[at].at(r.element)) {
			problems = append(problems, fmt.Sprintf("%s %s%02d: %s", r.loop, r.begins, r.element, r.source))
		}
	}
	return append(problems, f.inconsistencies()...)
}

// inconsistencies returns the values that do not agree with each other. These are the counts and the
// control numbers of the envelopes (ASC X12.5), the levels, and the sum of a claim's lines (CLM02). Only
// replacements and voids have REF F8 (X12, request for interpretation 1538).
func (f x12File) inconsistencies() []string {
	var found []string
	st, se := f.first("ST", 0), f.first("SE", 0)
	isa, iea, gs, ge := f.first("ISA", 0), f.first("IEA", 0), f.first("GS", 0), f.first("GE", 0)
	if min(st, se, isa, iea, gs, ge) < 0 {
		return []string{"an envelope is incomplete"}
	}
	if f.segments[se].at(1) != strconv.Itoa(se-st+1) || f.segments[se].at(2) != f.segments[st].at(2) {
		found = append(found, "SE")
	}
	if f.segments[isa].at(13) != f.segments[iea].at(2) || f.segments[gs].at(6) != f.segments[ge].at(2) {
		found = append(found, "control numbers")
	}
	level, levels := 0, map[string]bool{"": true}
	var total, sum float64
	for i := st; i <= se; i++ {
		s := f.segments[i]
		switch s.at(0) {
		case "HL":
			level++
			if s.at(1) != strconv.Itoa(level) || !levels[s.at(2)] {
				found = append(found, "HL")
			}
			levels[s.at(1)] = true
		case "CLM", "SE":
			if fmt.Sprintf("%.2f", total) != fmt.Sprintf("%.2f", sum) {
				found = append(found, "CLM02")
			}
			total, _ = strconv.ParseFloat(s.at(2), 64)
			sum = 0
			parts := strings.Split(s.at(5), f.component)
			corrected := s.at(0) == "CLM" && parts[len(parts)-1] != "1"
			if next := i + 2; s.at(0) == "CLM" && f.segments[next].begins("REF*F8") != corrected {
				found = append(found, "REF F8")
			}
		case "SV1":
			amount, _ := strconv.ParseFloat(s.at(2), 64)
			sum += amount
		}
	}
	return found
}

func (f x12File) String() string {
	var parts []string
	for _, s := range f.segments {
		parts = append(parts, strings.Join(s, f.separator))
	}
	return strings.Join(parts, "~\n")
}

func TestX12FileHasEveryRequiredElement(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.deliver(t, o.authorization, 2)
	o.deliver(t, o.authorization, 3)
	id := o.export(t).Created(t)
	text := downloaded(t, o, "/billing/exports/"+id.String()+"/x12")
	f, err := readX12(text)
	require.NoError(t, err)
	require.Empty(t, f.problems(), "%s", f)
	for _, r := range x12Rules { // a file without the element, and one without the segment
		for _, spoil := range []func(f *x12File, at int){
			func(f *x12File, at int) {
				s := slices.Clone(f.segments[at])
				s[r.element] = strings.Repeat(" ", len(s[r.element]))
				f.segments[at] = s
			},
			func(f *x12File, at int) { f.segments = slices.Delete(f.segments, at, at+1) },
		} {
			broken, err := readX12(text)
			require.NoError(t, err)
			spoil(&broken, broken.find(r))
			require.Contains(t, strings.Join(broken.problems(), "\n"), r.source, "a file without it passes")
		}
	}
}

func TestX12FileHasOneClaimForEachAuthorizationNumber(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	sibling := o.AddPatient(t)
	o.Admin().Patch(t, "/patients/"+sibling, harness.Body{"firstName": "José", "lastName": "Núñez*~:^"}).OK(t)
	insurance := o.insure(t, sibling, harness.Body{
		"relationship": "CHILD", "subscriberFirstName": "Ana", "subscriberLastName": "Núñez", "memberNumber": "M-9",
	})
	theirs := o.grant(t, insurance, "A-2", harness.Body{"patientId": sibling})
	o.deliver(t, o.authorization, 2)
	o.deliver(t, o.authorization, 3)
	o.deliver(t, o.grant(t, o.insurance, "A-3", harness.Body{}), 4)
	o.deliver(t, theirs, 1, harness.Body{"patientId": sibling})
	e := o.export(t)
	f, err := readX12(downloaded(t, o, "/billing/exports/"+e.Created(t).String()+"/x12"))
	require.NoError(t, err)
	require.Empty(t, f.problems(), "%s", f)
	var numbers, charges []string
	lines := 0
	for _, s := range f.segments {
		switch {
		case s.begins("REF*G1"):
			numbers = append(numbers, s.at(2))
		case s.begins("CLM"):
			charges = append(charges, s.at(2))
		case s.begins("LX"):
			lines++
		}
	}
	require.ElementsMatch(t, []string{"A-1", "A-2", "A-3"}, numbers)
	require.ElementsMatch(t, []string{"126.00", "63.00", "63.00"}, charges)
	require.Equal(t, 4, lines)
	text := f.String()
	require.Contains(t, text, "NM1*IL*1*NUNEZ*ANA****MI*M-9")
	require.Contains(t, text, "PAT*19")
	require.Contains(t, text, "NM1*QC*1*NUNEZ*JOSE")
}

func TestX12LineNamesItsOwnPractitioner(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.deliver(t, o.authorization, 2)
	other := o.hire(t, "1245319599")
	o.deliver(t, o.authorization, 3, harness.Body{"practitionerId": other})
	f, err := readX12(downloaded(t, o, "/billing/exports/"+o.export(t).Created(t).String()+"/x12"))
	require.NoError(t, err)
	require.Empty(t, f.problems(), "%s", f)
	first := f.first("NM1*82", 0)
	require.Equal(t, "1245319599", f.segments[first].at(9), "the claim's is that of its first line (loop 2310B)")
	second := f.first("NM1*82", first+1)
	require.Equal(t, "1234567893", f.segments[second].at(9), "the second line's differs (loop 2420A)")
	require.Greater(t, second, f.first("LX*2", 0))
}

func TestX12ReplacementHasTheWholeClaim(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	session := o.deliver(t, o.authorization, 2)
	o.deliver(t, o.authorization, 3)
	o.enterControlNumber(t, o.export(t).Created(t), "ICN-1")
	o.biller().Post(t, session+"/correct", harness.Body{"endTime": o.At(t, -2, "10:30"), "reason": "Late."}).OK(t)
	second := o.export(t).Created(t)
	f, err := readX12(downloaded(t, o, "/billing/exports/"+second.String()+"/x12"))
	require.NoError(t, err)
	require.Empty(t, f.problems(), "%s", f)
	claim := f.segments[f.first("CLM", 0)]
	require.Equal(t, []string{"94.50", "12:B:7"}, []string{claim.at(2), claim.at(5)})
	require.GreaterOrEqual(t, f.first("REF*F8*ICN-1", 0), 0)
	require.GreaterOrEqual(t, f.first("LX*2", 0), 0)

	o.enterControlNumber(t, second, "ICN-2")
	o.biller().Post(t, session+"/void", harness.Body{"appointment": "CANCELLED", "reason": "It did not take place."}).OK(t)
	third := o.export(t).Created(t)
	f, err = readX12(downloaded(t, o, "/billing/exports/"+third.String()+"/x12"))
	require.NoError(t, err)
	claim = f.segments[f.first("CLM", 0)]
	require.Equal(t, []string{"63.00", "12:B:7"}, []string{claim.at(2), claim.at(5)}, "the other session stays")
	require.GreaterOrEqual(t, f.first("REF*F8*ICN-2", 0), 0)
	require.Equal(t, map[string]int{"SUPERSEDED": 4, "EXPORTED": 1}, states(o.lines(t, "")))
	o.RequireClean(t)
	require.Equal(t, true, o.biller().Get(t, "/billing/reconciliation?"+o.days(t)).OK(t).Body["agrees"])
}
