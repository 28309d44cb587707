package app

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// Authenticate verifies an access token and returns its caller. The error is
// identity.ErrUnauthenticated if the token is invalid, and another one if it cannot be
// verified.
type Authenticate func(ctx context.Context, token string) (identity.Caller, error)

// errNoBearer is returned for an Authorization header of another scheme.
var errNoBearer = identity.ErrUnauthenticated.With(nil, "The Authorization header must be given once, as the word "+
	"Bearer, a space and the access token.")

// authenticate puts the caller into the context. It does not query the database.
func (s *Server) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		token, ok := bearerToken(c.Request().Header)
		switch {
		case !ok && c.Request().Header.Values(echo.HeaderAuthorization) == nil:
			return identity.ErrUnauthenticated
		case !ok:
			return errNoBearer
		}
		ctx := c.Request().Context()
		caller, err := s.options.Authenticate(ctx, token)
		if err != nil {
			return err
		}
		caller.RequestID, caller.Address = telemetry.RequestID(ctx), trail.Address(ctx)
		c.SetRequest(c.Request().WithContext(identity.With(ctx, caller)))
		return next(c)
	}
}

// UntilRevoked returns a context that ends when the caller's access token is revoked.
type UntilRevoked func(ctx context.Context, caller identity.Caller) (context.Context, context.CancelFunc)

// untilRevoked ends a stream when the access token with which it was requested is
// revoked.
func (s *Server) untilRevoked(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		caller, err := identity.From(c.Request().Context())
		if err != nil {
			return err
		}
		ctx, stop := s.options.UntilRevoked(c.Request().Context(), caller)
		defer stop()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// bearerToken returns the token of the only Authorization header.
func bearerToken(h http.Header) (string, bool) {
	given := h.Values(echo.HeaderAuthorization)
	if len(given) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// permit admits only callers with the permission of the route, and makes them act under
// it. The permission must cover the whole organization unless the route limits its
// records to the caller's scope. A caller without an organization has no permissions. A
// caller who must set up a second factor is admitted only to the routes for it.
func permit(r httpx.Route) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			caller, err := identity.From(c.Request().Context())
			if err != nil {
				return err
			}
			switch {
			case caller.EnrolOnly && !r.Enrolling:
				err = identity.ErrEnrolFirst
			case r.Permission == httpx.SignedIn:
			case r.RecordScopes != 0:
				err = caller.Require(r.Permission)
			default:
				err = caller.RequireForOrganization(r.Permission)
			}
			if err != nil {
				return err
			}
			c.SetRequest(c.Request().WithContext(identity.With(c.Request().Context(), caller.ActingUnder(r.Permission))))
			return next(c)
		}
	}
}
