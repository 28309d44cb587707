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
			Summary: "Read how often transactions were retried", Endpoint: httpx.Handle(http.StatusOK, a.handleRetryMetrics),
		},
		{
			Method: http.MethodGet, Path: "/admin/config", Permission: permissionConfig,
			Summary: "Read the configuration, secrets hidden", Endpoint: httpx.Handle(http.StatusOK, a.handleConfig),
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
