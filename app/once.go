package app

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/idempotency"
)

const (
	headerKey      = "Idempotency-Key"
	headerReplayed = "Idempotency-Replayed"
	maxKey         = 255
)

// withCursorKey lets a list encrypt its cursors.
func (s *Server) withCursorKey(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.SetRequest(c.Request().WithContext(httpx.WithCursorKey(c.Request().Context(), s.options.Cursors)))
		return next(c)
	}
}

// serve returns the handler of a route. It adds Idempotency-Key support to POST routes,
// unless the endpoint handles the key itself.
func (s *Server) serve(r httpx.Route) echo.HandlerFunc {
	serve := func(c echo.Context) error {
		shown := watching(c)
		return r.Endpoint.ServeAfter(c, s.recordReads(r, shown))
	}
	if r.Method != http.MethodPost || r.Endpoint.Takes(headerKey) {
		return serve
	}
	makesNoDifference := r.ReadOnly || r.Momentary || r.Permission == httpx.Public
	return func(c echo.Context) error {
		given := c.Request().Header.Values(headerKey)
		if len(given) == 0 || makesNoDifference && isOneKey(given) {
			return serve(c)
		}
		shown := watching(c)
		call, err := r.Endpoint.Prepare(c)
		if err != nil {
			return err
		}
		if !isOneKey(given) {
			return fault.InvalidFields(fault.Field{
				Field:   headerKey,
				Code:    "key",
				Message: fmt.Sprintf("must be given once, as 1 to %d printable ASCII characters", maxKey),
			})
		}
		fingerprint, err := fingerprintOf(r, call.Request)
		if err != nil {
			return err
		}
		answer, replayed, err := s.options.Keys.Once(c.Request().Context(), given[0], fingerprint, func(ctx context.Context) (idempotency.Answer, error) {
			reply, err := call.Run(ctx)
			return idempotency.Answer{Status: reply.Status, Headers: reply.Header, Body: reply.Body, Kept: reply.Kept}, err
		})
		if replayed {
			c.Response().Header().Set(headerReplayed, "true")
		}
		if err != nil {
			return err
		}
		if err := s.recordReads(r, shown)(c.Request().Context()); err != nil {
			return err
		}
		return httpx.Reply{Status: answer.Status, Header: answer.Headers, Body: answer.Body}.Send(c)
	}
}

func isOneKey(given []string) bool { return len(given) == 1 && isKey(given[0]) }

func isKey(key string) bool {
	if key == "" || len(key) > maxKey {
		return false
	}
	for _, b := range []byte(key) {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return true
}

// fingerprintOf returns a hash that is equal for equivalent requests, regardless of the
// order and white space in the body.
func fingerprintOf(r httpx.Route, request any) ([]byte, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte(r.Method+" "+r.Path+"\n"), text...))
	return sum[:], nil
}
