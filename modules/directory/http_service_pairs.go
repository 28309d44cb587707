package directory

import (
	"context"
	"net/http"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

func (s *Service) servicePairRoutes() []httpx.Route {
	return []httpx.Route{
		route("getServicePairs", http.MethodGet, "/service-pairs", permission.ServiceCodeRead,
			httpx.Handle(http.StatusOK, s.handleServicePairs),
			"List the services that may overlap", "A patient has one appointment at a time in each lane of services. "+
				"Appointments of different lanes may overlap only if their codes are a pair. A new organization has the pair "+
				"97153 and 97155."),
		route("replaceServicePairs", http.MethodPut, "/service-pairs", permission.ServiceCodeChange,
			httpx.Handle(http.StatusOK, s.ReplaceServicePairs),
			"Replace the services that may overlap", "Replaces the whole list; with an empty list no services may overlap. "+
				"The order of the two codes makes no difference, and the codes need not exist yet. Booked appointments stay "+
				"unchanged."),
	}
}

// ServicePairsChange replaces all pairs of an organization.
type ServicePairsChange struct {
	Match patch.Match `header:"If-Match"`
	// All pairs of the organization. Others are removed.
	Pairs []ServicePair `json:"pairs" validate:"required,max=200,dive"`
}

func (s *Service) handleServicePairs(ctx context.Context, _ struct{}) (ServicePairs, error) {
	return s.ServicePairs(ctx)
}
