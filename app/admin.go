package app

import (
	"context"
	"errors"
	"net/http"

	"omnirapeutic/config"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (a *App) adminRoutes() []httpx.Route {
	return append(a.verificationRoutes(), []httpx.Route{
		{
			Method: http.MethodGet, Path: "/admin/retry-metrics", Permission: permission.AdminMetrics,
			Name: "getRetryMetrics", Summary: "Get transaction retry counts",
			Description: "Counts since the program started, by operation: attempts, retries by SQLSTATE and phase, and " +
				"operations that used up all attempts.",
			Endpoint: httpx.Handle(http.StatusOK, a.handleRetryMetrics),
		},
		{
			Method: http.MethodPost, Path: "/admin/no-op", Permission: permission.AdminMetrics, ReadOnly: true,
			Name: "doNothing", Summary: "Measure request overhead",
			Description: "Accepts and validates the request of a reserve, without further work. Use it to measure the cost of " +
				"a request before it reaches the database.",
			Endpoint: httpx.Handle(http.StatusOK, a.handleNoOp),
		},
		{
			Method: http.MethodGet, Path: "/admin/config", Permission: permission.AdminConfig,
			Name: "getConfig", Summary: "Get the configuration with secrets hidden",
			Description: "All effective settings with the source of each value: a default, the file or the environment. Also " +
				"reports whether row level security applies to the program's database role.",
			Endpoint: httpx.Handle(http.StatusOK, a.handleConfig),
		},
	}...)
}

type noOpRequest struct {
	// The number of units that the answer repeats.
	Units int `json:"units" validate:"required,min=1,max=10000000"`
	// A text of the client, as in a reservation. It is checked and ignored.
	Reference *string `json:"reference" validate:"omitempty,min=1,max=200,text"`
	// The lifetime, as in a reservation. It is checked and ignored.
	ExpiresInSeconds *int `json:"expiresInSeconds" validate:"omitempty,min=1,max=2592000"`
	// The date of the service, as in a reservation. It is checked and ignored.
	ServiceDate calendar.Date `json:"serviceDate"`
}

type noOpAnswer struct {
	Units int `json:"units"` // The number of units in the request.
}

func (a *App) handleNoOp(_ context.Context, in noOpRequest) (noOpAnswer, error) {
	return noOpAnswer{in.Units}, nil
}

func (a *App) handleRetryMetrics(context.Context, httpx.None) (db.MetricsSnapshot, error) {
	return a.database.Metrics().Snapshot(), nil
}

// configBody is the effective configuration with secrets hidden.
type configBody struct {
	Settings []config.Setting `json:"settings"` // All configuration keys with their values.
	// The reason why the program's database role can bypass row level security. Null if it
	// cannot.
	RowSecurityGap *string `json:"rowSecurityGap"`
}

func (a *App) handleConfig(ctx context.Context, _ httpx.None) (configBody, error) {
	shown := configBody{Settings: a.running.Load().Settings()}
	err := a.database.CheckRole(ctx)
	if role, ok := errors.AsType[*db.RoleError](err); ok {
		shown.RowSecurityGap, err = &role.Why, nil
	}
	return shown, err
}
