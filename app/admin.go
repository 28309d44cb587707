package app

import (
	"context"
	"errors"
	"net/http"

	"omnirapeutic/config"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// What a caller may be allowed to see of the program itself.
const (
	permissionMetrics identity.Permission = "admin:metrics"
	permissionConfig  identity.Permission = "admin:config"
)

func (a *App) adminRoutes() []httpx.Route {
	return append(a.verificationRoutes(), []httpx.Route{
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
	}...)
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
