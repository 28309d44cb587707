package events

import (
	"slices"

	"omnirapeutic/platform/httpx"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	return slices.Concat([]httpx.Route{s.streamRoute()}, s.webhookRoutes(), s.deliveryRoutes())
}
