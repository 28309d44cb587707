package app

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

// withCursorKey lets a list encrypt its cursors.
func (s *Server) withCursorKey(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.SetRequest(c.Request().WithContext(httpx.WithCursorKey(c.Request().Context(), s.options.Cursors)))
		return next(c)
	}
}

// serve returns the handler of a route. It adds Idempotency-Key support to POST routes and
// keyed PUT routes, unless the endpoint handles the key itself.
func (s *Server) serve(r httpx.Route) echo.HandlerFunc {
	serve := func(c echo.Context) error {
		shown := watching(c)
		return r.Endpoint.ServeAfter(c, s.recordReads(r, shown))
	}
	if r.Method != http.MethodPost && !r.Keyed || r.Endpoint.Takes(command.HeaderKey) {
		return serve
	}
	hasNoEffect := r.ReadOnly || r.Momentary || r.Permission == httpx.Public
	return func(c echo.Context) error {
		key, valid := command.ParseKey(c.Request().Header)
		if valid && (key == "" || hasNoEffect) {
			return serve(c)
		}
		shown := watching(c)
		call, err := r.Endpoint.Prepare(c)
		if err != nil {
			return err
		}
		if !valid {
			return fault.InvalidFields(fault.Field{
				Field: command.HeaderKey, Code: "key",
				Message: fmt.Sprintf("must be given once, as 1 to %d printable ASCII characters", command.MaxKey),
			})
		}
		fingerprint, err := fingerprintOf(r, call.Request)
		if err != nil {
			return err
		}
		reply, replayed, err := s.options.Commands.Once(
			c.Request().Context(), key, r.Method+" "+r.Path, fingerprint, func(ctx context.Context) (command.Reply, error) {
				reply, err := call.Run(ctx)
				return command.Reply{Status: reply.Status, Headers: reply.Header, Body: reply.Body, Kept: reply.Stored}, err
			})
		command.Replayed(replayed).Header(c.Response().Header())
		if err != nil {
			return err
		}
		if err := s.recordReads(r, shown)(c.Request().Context()); err != nil {
			return err
		}
		return httpx.Reply{Status: reply.Status, Header: reply.Headers, Body: reply.Body}.Send(c)
	}
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
