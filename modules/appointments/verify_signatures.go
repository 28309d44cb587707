package appointments

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"
)

// signatureFacts are the facts about a signature that must agree.
type signatureFacts struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID // of the first patient; a discrepancy is reported there
	SessionID       uuid.UUID
	Signature
	VersionExists bool   // whether the session has the signed version
	StoredHash    []byte // of the stored signed text; nil: there is none
	// ClosesNote reports whether the signed version is the present one, so that the text is closed.
	ClosesNote  bool
	PresentHash []byte // of the present text of the note
}

// verifiedAddendum is an addendum with its session.
type verifiedAddendum struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID // of the first patient; a discrepancy is reported there
	SessionID       uuid.UUID
	Addendum
}

// compareSignature checks that a signature has the hash of its fields and names an existing version of
// the session, and that the signed text is stored unchanged. While the signature closes the note, the
// note must have that text.
func (c *comparison) compareSignature(g signatureFacts) {
	if computed := g.hashOf(g.SessionID); g.Hash != nil && !bytes.Equal(g.Hash, computed) {
		c.report("signature", uuid.Nil,
			fmt.Sprintf("signature %s under session %s with the hash %s", g.ID, g.SessionID, hex.EncodeToString(computed)),
			"the hash "+hex.EncodeToString(g.Hash))
	}
	if !g.VersionExists {
		c.report("signature", uuid.Nil,
			fmt.Sprintf("a signature as %s of an existing version of session %s", g.Role, g.SessionID),
			fmt.Sprintf("signature %s of version %d", g.ID, g.SessionVersion))
	}
	expected := fmt.Sprintf("the text with the hash %s, which signature %s names for session %s",
		hex.EncodeToString(g.TextHash), g.ID, g.SessionID)
	switch {
	case g.StoredHash == nil:
		c.report("signature", uuid.Nil, expected, "no stored text")
	case !bytes.Equal(g.StoredHash, g.TextHash):
		c.report("signature", uuid.Nil, expected, "a stored text with the hash "+hex.EncodeToString(g.StoredHash))
	}
	if g.ClosesNote && !bytes.Equal(g.PresentHash, g.TextHash) {
		c.report("note", uuid.Nil, expected, "a note with the hash "+hex.EncodeToString(g.PresentHash))
	}
}

// compareAddendum checks that the stored hash of an addendum is the hash of its fields.
func (c *comparison) compareAddendum(a verifiedAddendum) {
	text := func(hash []byte) string {
		return fmt.Sprintf("addendum %s to session %s with the hash %s", a.ID, a.SessionID, hex.EncodeToString(hash))
	}
	c.report("addendum", uuid.Nil, text(a.hashOf(a.SessionID)), text(a.Hash))
}
