package appointments

import (
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	return slices.Concat(
		s.bookingRoutes(), s.scheduleRoutes(), s.clockRoutes(), s.statusRoutes(), s.sessionRoutes(),
		s.visitRoutes(), s.noteRoutes(), s.correctionRoutes(), s.previewRoutes(), s.renewalRoutes(),
		s.timeZoneRoutes(), s.cancellationReportRoutes(), s.weekdayRoutes(), s.entryRoutes(), s.availabilityRoutes(), s.feedRoutes(),
	)
}

type byID struct {
	ID uuid.UUID `param:"id"`
}

// matching is the header that makes a change conditional on a version.
type matching struct {
	IfMatch patch.Match `header:"If-Match"`
}
