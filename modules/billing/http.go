package billing

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

// fileFresh is the max-age of a file in HTTP caches. A file never changes.
const fileFresh = time.Minute

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	return append([]httpx.Route{
		{
			Method: http.MethodGet, Path: "/billing/lines", Permission: permission.BillingRead, Reads: subjectLine,
			Name: "listBillingLines", Summary: "List claim lines",
			Description: "One line for each session and patient with units, on the service dates `from` to `to` (both " +
				"included, at most 366 days), computed from the present version of the session. `BLOCKED` lines have reasons, " +
				"and a missing field is named. `READY` lines are taken by the next export. An exported line is `SUPERSEDED` " +
				"when a session of its claim has a newer version: the claim must then be replaced or voided as a whole. Lines of " +
				"retracted exports are `RETRACTED`.",
			Eventual: true, Endpoint: httpx.Handle(http.StatusOK, s.handleLines),
		},
		{
			Method: http.MethodGet, Path: "/billing/reconciliation", Permission: permission.BillingRead,
			Name: "reconcileBilling", Summary: "Reconcile the ledger with the claim lines",
			Description: "The units that the ledger counts as consumed on the service dates `from` to `to`, and where they are: " +
				"on exported, ready or blocked lines, or consumed without a session. `agrees` is false if a unit is missing or " +
				"counted twice. Authorizations that do not agree come first.",
			Eventual: true, Endpoint: httpx.Handle(http.StatusOK, s.handleReconciliation),
		},
	}, s.exportRoutes()...)
}

func (s *Service) exportRoutes() []httpx.Route {
	return append([]httpx.Route{
		{
			Method: http.MethodPost, Path: "/billing/exports", Permission: permission.BillingExport,
			Name: "createBillingExport", Summary: "Export the ready lines of a payer",
			Description: "Takes all ready lines of the payer in the period, groups them to one claim for each authorization " +
				"number, locks their sessions, and writes three files: CSV, JSON and X12 837P. A claim with a corrected or voided " +
				"session is replaced (frequency code 7) by one with all lines that are left, or voided (8) when none is left.",
			Refusals: []*fault.Error{ErrNothingReady},
			Endpoint: httpx.Handle(http.StatusCreated, s.handleExport),
		},
		{
			Method: http.MethodGet, Path: "/billing/exports", Permission: permission.BillingRead,
			Name: "listBillingExports", Summary: "List exports",
			Description: "All exports, or the exports of one payer, the newest first, with the SHA-256 of their files.",
			Eventual:    true, Endpoint: httpx.Handle(http.StatusOK, s.handleExports),
		},
		{
			Method: http.MethodGet, Path: "/billing/exports/:id", Permission: permission.BillingRead,
			Name: "getBillingExport", Summary: "Get an export",
			Description: "One export with the SHA-256 of its files.",
			Refusals:    []*fault.Error{ErrExportNotFound},
			Endpoint:    httpx.Handle(http.StatusOK, s.handleGetExport),
		},
		{
			Method: http.MethodGet, Path: "/billing/exports/:id/claims", Permission: permission.BillingRead,
			Reads: subjectClaim, Name: "listBillingClaims", Summary: "List the claims of an export",
			Description: "All claims of an export in the order of its files, with their lines.",
			Refusals:    []*fault.Error{ErrExportNotFound},
			Eventual:    true, Endpoint: httpx.Handle(http.StatusOK, s.handleClaims),
		},
		{
			Method: http.MethodPost, Path: "/billing/exports/:id/retract", Permission: permission.BillingExport,
			Name: "retractBillingExport", Summary: "Retract an export",
			Description: "For a file that was rejected or never sent: its lines become ready again, and its sessions are " +
				"unlocked unless another export has them. The files can still be downloaded.",
			Refusals: []*fault.Error{ErrExportNotFound, ErrRetracted, ErrReplaced},
			Endpoint: httpx.Handle(http.StatusOK, s.handleRetract),
		},
		{
			Method: http.MethodPut, Path: "/billing/claims/:id/control-number", Permission: permission.BillingExport,
			Name: "setClaimControlNumber", Summary: "Enter the payer's control number of a claim",
			Description: "The number that the payer has given to the claim, from the remittance advice. A replacement or void of " +
				"the claim is blocked without it.",
			Refusals: []*fault.Error{ErrClaimNotFound},
			Endpoint: httpx.Handle(http.StatusOK, s.handleControlNumber),
		},
	}, s.fileRoutes()...)
}

// fileRoutes returns the downloads of the files of an export.
func (s *Service) fileRoutes() []httpx.Route {
	return []httpx.Route{
		fileRoute("csv", "Csv", "Download an export as CSV",
			httpx.HandleFile[byID, httpx.None]("text/csv", fileFresh, s.handleFile(CSV))),
		fileRoute("json", "Json", "Download an export as JSON",
			httpx.HandleFile[byID, filedExport]("application/json", fileFresh, s.handleFile(JSON))),
		fileRoute("x12", "X12", "Download an export as X12 837P",
			httpx.HandleFile[byID, httpx.None]("application/EDI-X12", fileFresh, s.handleFile(X12))),
	}
}

func fileRoute(path, name, summary string, endpoint httpx.Endpoint) httpx.Route {
	return httpx.Route{
		Method: http.MethodGet, Path: "/billing/exports/:id/" + path, Permission: permission.BillingRead,
		Reads: subjectClaim, Name: "downloadBillingExport" + name, Summary: summary,
		Description: "The file as the export wrote it. `" + httpx.HeaderChecksum + "` has its SHA-256, which is also in the " +
			"export. It has no clinical text.",
		Refusals: []*fault.Error{ErrExportNotFound},
		Endpoint: endpoint,
	}
}

type byID struct {
	ID uuid.UUID `param:"id"`
}

// period has the service dates of a request.
type period struct {
	From calendar.Date `query:"from" validate:"required"`             // The first service date.
	To   calendar.Date `query:"to" validate:"required,gtefield=From"` // The last service date.
}

// maxDays is the maximum length of a period in days.
const maxDays = 366

// check returns [fault.ErrInvalid] for a period that is too long.
func check(from, to calendar.Date) error {
	if to.DaysSince(from) >= maxDays {
		return fault.InvalidFields(fault.Field{Field: "to", Code: "max", Message: "must be at most 365 days after from"})
	}
	return nil
}
