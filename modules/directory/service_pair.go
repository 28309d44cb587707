package directory

// ServicePair is a pair of services of different tracks that may overlap for one patient. The
// order of the codes makes no difference.
type ServicePair struct {
	Code      string
	OtherCode string
}

// ServicePairs are all the pairs of an organization.
type ServicePairs struct {
	Pairs   []ServicePair // sorted by their codes
	Version int
}
