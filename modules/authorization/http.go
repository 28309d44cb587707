package authorization

import (
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	return slices.Concat(s.termsRoutes(), s.unitRoutes(), s.reportRoutes(), s.alertRoutes())
}

// Scopes returns the scopes, other than the organization's, in which authorizations can be read.
func Scopes() identity.Scope { return owners.Scopes() }

type byID struct {
	ID uuid.UUID `param:"id"`
}

// matching is the header that makes a change conditional on a version.
type matching struct {
	IfMatch patch.Match `header:"If-Match"`
}
