package app

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/config"
	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// What a caller may be allowed to see of the program itself.
const (
	permissionMetrics identity.Permission = "admin:metrics"
	permissionConfig  identity.Permission = "admin:config"
)

func (a *App) adminRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/admin/retry-metrics", Permission: permissionMetrics,
			Name: "getRetryMetrics", Summary: "Read how often transactions were retried",
			Description: "Counts since the program started, by operation: attempts, retries by SQLSTATE and phase, and operations that were given up.",
			Endpoint:    httpx.Handle(http.StatusOK, a.handleRetryMetrics),
		},
		{
			Method: http.MethodPost, Path: "/admin/no-op", Permission: permissionMetrics, ReadOnly: true,
			Name: "doNothing", Summary: "Do nothing",
			Description: "Takes what a reserve takes, reads and checks it, and does nothing: it tells what a request costs before it reaches the database.",
			Endpoint:    httpx.Handle(http.StatusOK, a.handleNoOp),
		},
		{
			Method: http.MethodGet, Path: "/admin/config", Permission: permissionConfig,
			Name: "getConfig", Summary: "Read the configuration, secrets hidden",
			Description: "Every setting that is in effect, and where its value came from: a default, the file, or the environment; and whether row level security holds the program's database role.",
			Endpoint:    httpx.Handle(http.StatusOK, a.handleConfig),
		},
		{
			Method: http.MethodPost, Path: "/admin/verify", Permission: authorization.PermissionVerify,
			Name: "verifyBooks", Summary: "Check the books of all authorizations, and the audit trail",
			Description: "Replays the ledger of every authorization of the organization and reports whatever does not agree: counters, reservations, sequence numbers, hashes. Goes along the organization's audit trail as well: positions, hashes, events without a seal. It changes nothing.",
			ReadOnly:    true, Refusals: []*fault.Error{errVerifyUnfinished},
			Endpoint: httpx.Handle(http.StatusOK, a.handleVerify),
		},
	}
}

type noOpRequest struct {
	Units            int           `json:"units" validate:"required,min=1,max=10000000"`
	Reference        *string       `json:"reference" validate:"omitempty,min=1,max=200,text"`
	ExpiresInSeconds *int          `json:"expiresInSeconds" validate:"omitempty,min=1,max=2592000"`
	ServiceDate      calendar.Date `json:"serviceDate"`
}

type noOpAnswer struct {
	Units int `json:"units"` // as asked for
}

func (a *App) handleNoOp(_ context.Context, in noOpRequest) (noOpAnswer, error) {
	return noOpAnswer{in.Units}, nil
}

func (a *App) handleRetryMetrics(context.Context, httpx.None) (db.MetricsSnapshot, error) {
	return a.database.Metrics().Snapshot(), nil
}

// configBody is the effective configuration, secrets hidden.
type configBody struct {
	Settings []config.Setting `json:"settings"`
	// RowSecurityGap says how the program's database role could pass row level
	// security; null where it cannot.
	RowSecurityGap *string `json:"rowSecurityGap"`
}

func (a *App) handleConfig(ctx context.Context, _ httpx.None) (configBody, error) {
	shown := configBody{Settings: a.config.Settings()}
	err := a.database.CheckRole(ctx)
	if role, ok := errors.AsType[*db.RoleError](err); ok {
		shown.RowSecurityGap, err = &role.Why, nil
	}
	return shown, err
}

// Verification says what was checked and found, in the unit ledger and in the audit trail.
type Verification struct {
	OK             bool                    `json:"ok"` // ledger and trail
	Authorizations int                     `json:"authorizations"`
	Reservations   int                     `json:"reservations"`
	Entries        int                     `json:"entries"`
	ProblemCount   int                     `json:"problemCount"` // in the ledger
	Problems       []authorization.Problem `json:"problems"`     // the first 100
	CheckedAt      time.Time               `json:"checkedAt"`
	Audit          audit.Findings          `json:"audit"`
}

func (a *App) verify(ctx context.Context, organization uuid.UUID) (Verification, error) {
	books, err := a.Authorizations.Verify(ctx, organization)
	if err != nil {
		return Verification{}, err
	}
	kept, err := a.Audit.Verify(ctx, organization, organization == uuid.Nil)
	if err == nil {
		a.books.trailVerified(organization, kept)
	}
	return Verification{
		books.OK && kept.OK, books.Authorizations, books.Reservations, books.Entries, books.ProblemCount, books.Problems, books.CheckedAt, kept,
	}, err
}

// errVerifyUnfinished is told instead of "timeout", which says to try again.
var errVerifyUnfinished = fault.Define(fault.Unavailable, "verify-unfinished",
	"The books could not be checked in the time that a request has. Nothing has been found out or changed.").
	Advising("Have the operator run the command `omnirapeutic verify`, which takes as long as it needs, or allow requests more time (`OMNI_REQUEST_TIMEOUT`).")

func (a *App) handleVerify(ctx context.Context, _ httpx.None) (Verification, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Verification{}, err
	}
	v, err := a.verify(ctx, caller.OrganizationID)
	if errors.Is(err, context.DeadlineExceeded) {
		return Verification{}, errVerifyUnfinished.Because(err)
	}
	return v, err
}
