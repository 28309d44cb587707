package app

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"omnirapeutic/modules/emergency"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// EmergencyAccess looks up emergency access grants.
type EmergencyAccess interface {
	// Open returns the patient whose records the caller of the context may read under
	// the grant. It returns [emergency.ErrNotOpen] if the grant is not valid.
	Open(ctx context.Context, grant uuid.UUID) (patient uuid.UUID, err error)
}

// headerEmergencyGrant names the emergency access grant of a request. Each request must send it,
// so that no access under a grant is accidental.
const headerEmergencyGrant = "Break-Glass"

// requestedGrant is the context key of the requested grant, for the audit trail. The grant
// need not exist.
const requestedGrant = "emergency-grant"

// readUnderGrant makes a request that names an emergency access grant read under it. The
// grant is checked for each request, so that its end takes effect at once.
func (s *Server) readUnderGrant(r httpx.Route) echo.MiddlewareFunc {
	reads := readsOnly(r)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			given := c.Request().Header.Values(headerEmergencyGrant)
			if len(given) == 0 {
				return next(c)
			}
			id, err := uuid.Parse(given[0])
			known := err == nil && len(given) == 1
			if known {
				c.Set(requestedGrant, id)
			}
			if !reads {
				return emergency.ErrReadOnly
			}
			if !known {
				return emergency.ErrNotOpen
			}
			ctx := c.Request().Context()
			caller, err := identity.From(ctx)
			if err != nil {
				return err
			}
			patient, err := s.options.Emergency.Open(ctx, id)
			if err != nil {
				return err
			}
			caller.GrantID, caller.GrantPatientID = &id, &patient
			c.SetRequest(c.Request().WithContext(identity.With(ctx, caller)))
			return next(c)
		}
	}
}

// readsOnly reports whether the operation changes nothing.
func readsOnly(r httpx.Route) bool { return r.Method == http.MethodGet || r.ReadOnly }
