package app

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/tracing"
)

// traceRequest records a span for each request other than a probe. It is not in the chain if nothing is traced.
func (s *Server) traceRequest(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if isProbe(c.Path()) {
			return next(c)
		}
		method, route := methodOf(c.Request()), s.routeOf(c)
		ctx, span := s.options.Tracer.StartRequest(c.Request().Context(), c.Request().Header, method+" "+route)
		defer span.End()
		span.Set(tracing.HTTPMethod, method)
		span.Set(tracing.HTTPRoute, route)
		c.SetRequest(c.Request().WithContext(ctx))
		err := next(c)
		span.SetNumber(tracing.HTTPStatus, c.Response().Status)
		return err
	}
}

// traceProblem records the code of a problem document in the request's span. Only errors of the server make the
// span a failed one, as the conventions for HTTP say.
func traceProblem(c echo.Context, code string, status int) {
	span := tracing.Current(c.Request().Context())
	if status >= http.StatusInternalServerError {
		span.Fail(code)
		return
	}
	span.Set(tracing.ErrorType, code)
}

// spanOfCheck is the key of the span of the permission check in echo's context.
const spanOfCheck = "permission-check"

// checkSpan is the span of the permission check of a request, and that of the request.
type checkSpan struct{ check, request tracing.Span }

// traceCheck encloses the middleware that checks token, rate and permission with a span.
func traceCheck(r httpx.Route, checks []echo.MiddlewareFunc) []echo.MiddlewareFunc {
	begin := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			request := tracing.Current(c.Request().Context())
			ctx, span := tracing.Start(c.Request().Context(), "permission check")
			if !span.IsRecorded() {
				return next(c)
			}
			span.Set(tracing.Permission, string(r.Permission))
			c.Set(spanOfCheck, checkSpan{span, request})
			c.SetRequest(c.Request().WithContext(ctx))
			err := next(c)
			endCheck(c, err)
			return err
		}
	}
	end := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			endCheck(c, nil)
			return next(c)
		}
	}
	return append(append([]echo.MiddlewareFunc{begin}, checks...), end)
}

// endCheck ends the span of the permission check, unless it has ended. Later spans are children of the request's.
func endCheck(c echo.Context, err error) {
	s, ok := c.Get(spanOfCheck).(checkSpan)
	if !ok {
		return
	}
	c.Set(spanOfCheck, nil)
	if err != nil {
		s.check.Fail(faultOf(err).Code())
	}
	s.check.End()
	c.SetRequest(c.Request().WithContext(tracing.With(c.Request().Context(), s.request)))
}
