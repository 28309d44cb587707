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

// Glass knows emergency grants.
type Glass interface {
	// Open returns the patient whose records the caller of the context may read under
	// the grant. The error is [emergency.ErrNotOpen] where it does not hold.
	Open(ctx context.Context, grant uuid.UUID) (patient uuid.UUID, err error)
}

// headerGlass names the emergency grant under which a request reads: each by itself,
// so that nobody reads under it without meaning to.
const headerGlass = "Break-Glass"

// keyTried is where a request keeps which grant it names, for the trail: whether or not
// there is such a grant.
const keyTried = "emergency-grant"

// breakGlass has a request that names an emergency grant read under it. It is asked
// anew for each request, so that a grant ends at once.
func (s *Server) breakGlass(r httpx.Route) echo.MiddlewareFunc {
	reads := readsOnly(r)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			given := c.Request().Header.Values(headerGlass)
			if len(given) == 0 {
				return next(c)
			}
			id, err := uuid.Parse(given[0])
			known := err == nil && len(given) == 1
			if known {
				c.Set(keyTried, id)
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
			patient, err := s.glass.Open(ctx, id)
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
