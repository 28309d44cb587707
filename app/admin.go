package app

import (
	"context"
	"net/http"

	"omnirapeutic/config"
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
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/admin/retry-metrics", Permission: permissionMetrics,
			Name: "getRetryMetrics", Summary: "Read how often transactions were retried",
			Description: "Counts since the program started, by operation: attempts, retries by SQLSTATE and phase, and operations that were given up.",
			Endpoint:    httpx.Handle(http.StatusOK, a.handleRetryMetrics),
		},
		{
			Method: http.MethodGet, Path: "/admin/config", Permission: permissionConfig,
			Name: "getConfig", Summary: "Read the configuration, secrets hidden",
			Description: "Every setting that is in effect, and where its value came from: a default, the file, or the environment.",
			Endpoint:    httpx.Handle(http.StatusOK, a.handleConfig),
		},
	}
}

func (a *App) handleRetryMetrics(context.Context, httpx.None) (db.MetricsSnapshot, error) {
	return a.database.Metrics().Snapshot(), nil
}

// configBody is the effective configuration, secrets hidden.
type configBody struct {
	Settings []config.Setting `json:"settings"`
}

func (a *App) handleConfig(context.Context, httpx.None) (configBody, error) {
	return configBody{a.config.Settings()}, nil
}
