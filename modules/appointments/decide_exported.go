package appointments

import (
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// ErrSessionExported is returned for a change of a session that was exported to a payer.
var ErrSessionExported = fault.Define(fault.Conflict, "session-exported",
	"The session was billed to the payer and can no longer be changed.").
	Advising("Ask the billing office: users who may correct all sessions of the organization can correct or void it, and " +
		"a replacement claim follows. For a note, add an addendum: `POST /sessions/{id}/addenda`.")

// refuseExported returns [ErrSessionExported] unless the caller may correct every session of the
// organization. The payer then gets a replacement claim.
func refuseExported(s Session, caller identity.Caller) *fault.Error {
	if s.ExportedAt == nil || caller.Acting == "" || caller.Scope(permission.SessionCorrect).Has(identity.Organization) {
		return nil
	}
	return ErrSessionExported
}
