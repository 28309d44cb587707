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
			handle(http.StatusOK, s.ReplaceServicePairs, servicePairsBodyOf),
			"Replace the services that may overlap", "Replaces the whole list; with an empty list no services may overlap. "+
				"The order of the two codes makes no difference, and the codes need not exist yet. Booked appointments stay "+
				"unchanged."),
	}
}

// ServicePairBody is a pair of services of different lanes that may overlap for one patient. The
// order of the codes makes no difference.
type ServicePairBody struct {
	Code      string `json:"code" validate:"required"`      // The code of one service.
	OtherCode string `json:"otherCode" validate:"required"` // The code of the other service.
}

// servicePairsBody are all the pairs of an organization.
type servicePairsBody struct {
	Pairs   []ServicePairBody `json:"pairs"` // All pairs, sorted by their codes.
	Version int               `json:"version"`
}

// Revision returns the version, which the API returns as ETag.
func (b servicePairsBody) Revision() int { return b.Version }

func servicePairsBodyOf(all ServicePairs) servicePairsBody {
	pairs := httpx.Bodies(all.Pairs, func(p ServicePair) ServicePairBody { return ServicePairBody(p) })
	return servicePairsBody{pairs, all.Version}
}

func servicePairsOf(bodies []ServicePairBody) []ServicePair {
	pairs := make([]ServicePair, len(bodies))
	for i, b := range bodies {
		pairs[i] = ServicePair(b)
	}
	return pairs
}

// ServicePairsChange replaces all pairs of an organization.
type ServicePairsChange struct {
	Match patch.Match `header:"If-Match"`
	// All pairs of the organization. Others are removed.
	Pairs []ServicePairBody `json:"pairs" validate:"required,max=200,dive"`
}

func (s *Service) handleServicePairs(ctx context.Context, _ struct{}) (servicePairsBody, error) {
	found, err := s.ServicePairs(ctx)
	return servicePairsBodyOf(found), err
}
