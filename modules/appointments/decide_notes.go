package appointments

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// NoteSections are the texts of a note's sections. It has no empty texts.
type NoteSections map[scheduling.NoteSection]string

// NoteText is the clinical text of a session.
type NoteText struct {
	Narrative *string
	Sections  NoteSections
}

// normalized returns the text without empty parts.
func (t NoteText) normalized() NoteText {
	if t.Narrative != nil && *t.Narrative == "" {
		t.Narrative = nil
	}
	t.Sections = maps.Clone(t.Sections)
	maps.DeleteFunc(t.Sections, func(_ scheduling.NoteSection, text string) bool { return text == "" })
	if len(t.Sections) == 0 {
		t.Sections = nil
	}
	return t
}

// equal reports whether both texts are the same.
func (t NoteText) equal(other NoteText) bool {
	return equal(t.Narrative, other.Narrative) && maps.Equal(t.Sections, other.Sections)
}

// length returns the number of characters of the narrative and all sections.
func (t NoteText) length() int {
	n := 0
	if t.Narrative != nil {
		n = utf8.RuneCountInString(*t.Narrative)
	}
	for _, text := range t.Sections {
		n += utf8.RuneCountInString(text)
	}
	return n
}

// hash returns the SHA-256 of the narrative, and of the name and text of each section in the order of
// the names. The length of each part in bytes precedes it, and a line break follows both, so different
// notes never have the same input. [countsSQL] computes the same.
func (t NoteText) hash() []byte {
	var parts []string
	if t.Narrative == nil {
		parts = append(parts, "")
	} else {
		parts = append(parts, *t.Narrative)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Sections)) {
		parts = append(parts, string(name), t.Sections[name])
	}
	return hashOfParts(parts)
}

// hashOfParts returns the SHA-256 of texts. The length of each part in bytes precedes it, and a line
// break follows both.
func hashOfParts(parts []string) []byte {
	var b strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&b, "%d\n%s\n", len(part), part)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return sum[:]
}

// noteText returns the present text of the session's note.
func (s Session) noteText() NoteText { return NoteText{s.Narrative, s.NoteSections}.normalized() }

// TextHash returns the hash of the session's note, which a signature names.
func (s Session) TextHash() []byte { return s.noteText().hash() }

// Signature is a person's signature under a session and its note.
type Signature struct {
	ID             uuid.UUID
	Role           scheduling.Signer
	SessionVersion int
	TextHash       []byte
	SignedBy       uuid.UUID  // the user on whose device it was signed
	PractitionerID *uuid.UUID // of that user; nil: a caregiver signed
	Name           *string    // of a caregiver
	Mark           *string    // of a caregiver, typed or drawn; see [checkMark]
	Address        string     // the client's IP address
	SignedAt       time.Time
	Hash           []byte // of the session and all fields above; see [Signature.hashOf]
	// Counts reports whether the signed text and the signed version are the present ones. A version
	// that only recounts units needs no new signature.
	Counts bool `gorm:"->;column:counts"`

	Text NoteText `gorm:"-"` // the signed text, for evidence
}

// hashOf returns the SHA-256 of a signature under the session. A missing value is an empty part. The
// time is in microseconds since 1970.
func (g Signature) hashOf(session uuid.UUID) []byte {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	practitioner := ""
	if g.PractitionerID != nil {
		practitioner = g.PractitionerID.String()
	}
	return hashOfParts([]string{
		session.String(), g.ID.String(), string(g.Role), strconv.Itoa(g.SessionVersion), hex.EncodeToString(g.TextHash),
		g.SignedBy.String(), practitioner, text(g.Name), text(g.Mark), g.Address,
		strconv.FormatInt(g.SignedAt.UnixMicro(), 10),
	})
}

// NoteState is the state of a session's note.
type NoteState string

// The states of notes.
const (
	NoteNone     NoteState = "NONE"     // it has no text
	NoteDraft    NoteState = "DRAFT"    // it has a text, which can be changed
	NoteSigned   NoteState = "SIGNED"   // it has a signature, which closes the text
	NoteCosigned NoteState = "COSIGNED" // several roles have signed, and no required signature is missing
	NoteLate     NoteState = "LATE"     // it is incomplete after its due time
)

// NoteStatus is the state of a session's note, measured by the rule of the service.
type NoteStatus struct {
	State           NoteState
	Rule            *scheduling.NoteRule // nil: no note is required
	DueAt           *time.Time           // nil: it is never late
	Length          int                  // characters
	MissingSections []scheduling.NoteSection
	MissingSigners  []scheduling.Signer
	Signatures      []Signature    // oldest first, including invalid ones
	Conflicts       []ConflictKind // what keeps the session from being billed; sorted
}

// ruleFor returns the rule for the session's note that is in force on its service date, or nil.
func ruleFor(s Session, rules map[uuid.UUID][]scheduling.DatedNoteRule, service uuid.UUID) *scheduling.NoteRule {
	if s.VoidedAt != nil {
		return nil
	}
	inForce, _ := scheduling.RuleOn(rules[service], s.ServiceDate)
	return inForce.Rule
}

// noteStatusOf returns the state of a session's note at a time.
func noteStatusOf(
	s Session, rule *scheduling.NoteRule, signatures []Signature, now time.Time,
) NoteStatus {
	text := s.noteText()
	n := NoteStatus{State: NoteNone, Rule: rule, Length: text.length(), Signatures: signatures}
	signed := n.signedRoles()
	switch {
	case len(signed) > 0:
		n.State = NoteSigned
	case n.Length > 0:
		n.State = NoteDraft
	}
	if rule != nil {
		for _, role := range rule.Signers {
			if !slices.Contains(signed, role) {
				n.MissingSigners = append(n.MissingSigners, role)
			}
		}
		for _, name := range rule.Sections {
			if text.Sections[name] == "" {
				n.MissingSections = append(n.MissingSections, name)
			}
		}
		if rule.DueHours != nil {
			n.DueAt = new(s.End.Add(time.Duration(*rule.DueHours) * time.Hour))
		}
	}
	if len(signed) > 1 && len(n.MissingSigners) == 0 {
		n.State = NoteCosigned
	}
	if n.DueAt != nil && now.After(*n.DueAt) && (n.incomplete() || len(n.MissingSigners) > 0) {
		n.State = NoteLate
	}
	return n
}

// signedRoles returns the roles whose signature counts.
func (n NoteStatus) signedRoles() []scheduling.Signer {
	var roles []scheduling.Signer
	for _, g := range n.Signatures {
		if g.Counts && !slices.Contains(roles, g.Role) {
			roles = append(roles, g.Role)
		}
	}
	return roles
}

// closing returns the first signature that counts, which closes the text, or nil.
func (n NoteStatus) closing() *Signature {
	for i, g := range n.Signatures {
		if g.Counts {
			return &n.Signatures[i]
		}
	}
	return nil
}

// of returns the signature of a role that counts, or nil.
func (n NoteStatus) of(role scheduling.Signer) *Signature {
	for i, g := range n.Signatures {
		if g.Counts && g.Role == role {
			return &n.Signatures[i]
		}
	}
	return nil
}

// incomplete reports whether the text is shorter than required, or a required section is missing.
func (n NoteStatus) incomplete() bool {
	return n.Length < n.minLength() || len(n.MissingSections) > 0
}

// minLength returns the required number of characters. Every note needs a text.
func (n NoteStatus) minLength() int {
	if n.Rule == nil {
		return 1
	}
	return max(1, n.Rule.MinLength)
}

// refuseText returns [ErrNoteClosed] if a signature has closed the text.
func (n NoteStatus) refuseText() *fault.Error {
	signature := n.closing()
	if signature == nil {
		return nil
	}
	return ErrNoteClosed.With(Closed{signature.Role, signature.SignedAt}, "%s", ErrNoteClosed.Title())
}

// refuseSignature returns an error if the signature does not name the present text, the text is not
// complete, or the signer may not sign in the role. beyondOwn reports whether the signer has access
// to sessions of others.
func (n NoteStatus) refuseSignature(s Session, g Signature, beyondOwn bool) *fault.Error {
	present := s.TextHash()
	switch {
	case s.VoidedAt != nil:
		return ErrSessionVoided
	case !slices.Equal(present, g.TextHash):
		return ErrNoteChanged.With(PresentText{hex.EncodeToString(present)}, "%s", ErrNoteChanged.Title())
	case n.incomplete():
		missing := append([]scheduling.NoteSection{}, n.MissingSections...)
		return ErrNoteIncomplete.With(Incomplete{n.Length, n.minLength(), missing}, "%s", n.shortcomings())
	case n.of(g.Role) != nil:
		existing := n.of(g.Role)
		return ErrAlreadySigned.With(Closed{existing.Role, existing.SignedAt}, "%s", ErrAlreadySigned.Title())
	}
	return n.refuseSigner(s, g, beyondOwn)
}

// refuseSigner returns [ErrNotSigner] unless the signer may sign in the role.
func (n NoteStatus) refuseSigner(s Session, g Signature, beyondOwn bool) *fault.Error {
	refuse := func(text string) *fault.Error { return ErrNotSigner.With(SignerRole{g.Role}, "%s", text) }
	switch g.Role {
	case scheduling.TechnicianSigns:
		if g.PractitionerID == nil || !slices.Contains(s.Practitioners, *g.PractitionerID) {
			return refuse("Only a practitioner of the session can sign as technician.")
		}
		if other := n.of(scheduling.SupervisorSigns); other != nil && *other.PractitionerID == *g.PractitionerID {
			return refuse("You have signed as supervisor. Another practitioner of the session has to sign as technician.")
		}
	case scheduling.SupervisorSigns:
		if g.PractitionerID == nil || !beyondOwn {
			return refuse("Only a practitioner with access to the sessions of others can sign as supervisor.")
		}
		if other := n.of(scheduling.TechnicianSigns); other != nil && *other.PractitionerID == *g.PractitionerID {
			return refuse("You have signed as technician. Another practitioner has to sign as supervisor.")
		}
	case scheduling.CaregiverSigns:
	}
	return nil
}

// shortcomings describes what the note lacks.
func (n NoteStatus) shortcomings() string {
	var lacks []string
	if n.Length < n.minLength() {
		lacks = append(lacks, fmt.Sprintf("It has %d of at least %d characters.", n.Length, n.minLength()))
	}
	for _, name := range n.MissingSections {
		lacks = append(lacks, fmt.Sprintf("The section %q is missing.", name))
	}
	return "The note is not complete. " + strings.Join(lacks, " ")
}

// The limits of a caregiver's mark.
const (
	maxTypedMark = 200
	maxDrawnMark = 200_000
	drawnPrefix  = "data:image/png;base64,"
	pngSignature = "\x89PNG\r\n\x1a\n" // PNG specification, section 5.2
)

// checkSigner returns an error for a caregiver without name or mark, and for another role with them.
func (g Signature) checkSigner() error {
	var fieldErrors []fault.Field
	require := func(field string, given bool) {
		switch caregiver := g.Role == scheduling.CaregiverSigns; {
		case caregiver && !given:
			fieldErrors = append(fieldErrors, fault.Field{
				Field: field, Code: "required", Message: "is required for the signature of a caregiver",
			})
		case !caregiver && given:
			fieldErrors = append(fieldErrors, fault.Field{
				Field: field, Code: "excluded", Message: "is only for the signature of a caregiver",
			})
		}
	}
	require("name", g.Name != nil)
	require("mark", g.Mark != nil)
	if g.Mark != nil && !checkMark(*g.Mark) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "mark", Code: "mark",
			Message: "must be a text of at most 200 characters, or a PNG image as a data URL of at most 200,000 characters",
		})
	}
	return errorOf(fieldErrors)
}

// checkMark reports whether a mark is a typed text or a drawing: a PNG image as a data URL (RFC 2397).
func checkMark(mark string) bool {
	encoded, drawn := strings.CutPrefix(mark, drawnPrefix)
	if !drawn {
		return !strings.HasPrefix(mark, "data:") && utf8.RuneCountInString(mark) <= maxTypedMark
	}
	image, err := base64.StdEncoding.DecodeString(encoded)
	return err == nil && len(mark) <= maxDrawnMark && strings.HasPrefix(string(image), pngSignature)
}

// refuseSigned returns [ErrSessionSigned] if a signature counts: users who may correct their own
// sessions only can do so until then.
func (n NoteStatus) refuseSigned() *fault.Error {
	signature := n.closing()
	if signature == nil {
		return nil
	}
	return ErrSessionSigned.With(Closed{signature.Role, signature.SignedAt}, "%s", ErrSessionSigned.Title())
}
