package billing

import (
	"omnirapeutic/platform/fault"
)

// The errors of this module.
var (
	// ErrExportNotFound is returned if the caller's organization has no such export.
	ErrExportNotFound = fault.Define(fault.NotFound, "export-not-found", "Export not found.")
	// ErrClaimNotFound is returned if the caller's organization has no such claim.
	ErrClaimNotFound = fault.Define(fault.NotFound, "claim-not-found", "Claim not found.")
	// ErrNothingReady carries [NothingReady].
	ErrNothingReady = fault.Define(fault.Conflict, "nothing-ready", "No claim line of the payer is ready in the period.").
			Carrying(NothingReady{}).
			Advising("Show the blocked lines with their reasons: `GET /billing/lines?state=BLOCKED`.")
	// ErrRetracted is returned for an export that was retracted before.
	ErrRetracted = fault.Define(fault.Conflict, "export-retracted", "The export was retracted before.")
	// ErrReplaced is returned if a later export has replaced or voided a claim of the export.
	ErrReplaced = fault.Define(fault.Conflict, "export-replaced",
		"A later export has replaced or voided claims of this export.").
		Advising("Retract the later export first.")
)

// NothingReady has the details of [ErrNothingReady].
type NothingReady struct {
	Blocked int `json:"blocked"` // The number of blocked lines of the payer in the period.
}
