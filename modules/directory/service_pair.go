package directory

// ServicePair is a pair of services of different lanes that may overlap for one patient. The
// order of the codes makes no difference.
type ServicePair struct {
	Code      string `json:"code" validate:"required"`      // The code of one service.
	OtherCode string `json:"otherCode" validate:"required"` // The code of the other service.
}

// ServicePairs are all the pairs of an organization.
type ServicePairs struct {
	Pairs   []ServicePair `json:"pairs"` // All pairs, sorted by their codes.
	Version int           `json:"version"`
}

// Revision returns the version, which the API returns as ETag.
func (p ServicePairs) Revision() int { return p.Version }
