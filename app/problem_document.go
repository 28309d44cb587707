package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/telemetry"
)

// Problem is the document that describes an error (RFC 9457). The details of a fault are
// further members.
type Problem struct {
	Type string `json:"type"` // The address of a page about the code, on this server.
	// The text that all errors of this code share.
	Title  string `json:"title"`
	Status int    `json:"status"` // The HTTP status of the response.
	// The text for people about this occurrence.
	Detail   string `json:"detail"`
	Instance string `json:"instance"` // The path of the request.
	Code     string `json:"code"`     // The stable code, for programs.
	// The id of the request, for support questions.
	RequestID string `json:"requestId"`
}

// RefusedBooking has the further members of a [Problem] about a booking.
type RefusedBooking struct {
	// All rules that the request breaks. The first one belongs to the code.
	Reasons []fault.Reason `json:"reasons,omitempty"`
	// The requests that would be accepted instead: other times, other authorizations.
	Alternatives *appointments.Alternatives `json:"alternatives,omitempty"`
}

var problemMembers = []string{"type", "title", "status", "detail", "instance", "code", "requestId"}

// answerProblem is the only place that turns errors into answers. It logs server
// errors.
func (s *Server) answerProblem(err error, c echo.Context) {
	f := faultOf(err)
	status := StatusOf(f)
	s.logProblem(c, f, status, err)
	traceProblem(c, f.Code(), status)
	if c.Response().Committed {
		return // the answer has begun and cannot be changed
	}
	if page := s.operations[c.Request().Method+" "+c.Path()].ErrorPage; page != "" {
		c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
		_ = c.Redirect(http.StatusFound, page+"#error="+url.QueryEscape(f.Code())) // the browser may have disconnected
		return
	}
	document, encodeErr := documentOf(c.Request(), f, status)
	if encodeErr != nil {
		s.event(c, "details_not_encoded").WithField("error", encodeErr).WithField("code", f.Code()).
			Error("the details of an error cannot be encoded")
	}
	header := c.Response().Header()
	header.Set(echo.HeaderCacheControl, "no-store")
	switch {
	case status == http.StatusUnauthorized:
		header.Set(echo.HeaderWWWAuthenticate, "Bearer")
	case f.Kind() == fault.Contention, status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		header.Set(echo.HeaderRetryAfter, retryAfter(f))
	}
	if f.Is(errShuttingDown) {
		header.Set(echo.HeaderConnection, "close")
	}
	if c.Request().Method == http.MethodHead {
		_ = c.NoContent(status) // the client may have disconnected
		return
	}
	_ = c.Blob(status, "application/problem+json", document) // as above
}

// documentOf returns the document, or on an error the document without details.
func documentOf(r *http.Request, f *fault.Error, status int) ([]byte, error) {
	var alternatives *appointments.Alternatives
	if offered, ok := f.Alternatives().(appointments.Alternatives); ok {
		alternatives = &offered
	}
	document, err := json.Marshal(struct {
		Problem
		RefusedBooking
	}{
		Problem{
			Type: pathErrors + "/" + f.Code(), Title: f.Title(), Status: status, Detail: f.Error(),
			Instance: r.URL.EscapedPath(), Code: f.Code(), RequestID: telemetry.RequestID(r.Context()),
		},
		RefusedBooking{f.Reasons(), alternatives},
	})
	if err != nil || f.Details() == nil {
		return document, err
	}
	details, err := json.Marshal(f.Details())
	if err != nil {
		return document, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(details, &members); err != nil {
		return document, fmt.Errorf("details must be an object: %w", err)
	}
	for _, name := range problemMembers {
		delete(members, name) // the document's own members take precedence
	}
	delete(members, "reasons") // as above, although not every document has these
	delete(members, "alternatives")
	if len(members) == 0 {
		return document, nil
	}
	if details, err = json.Marshal(members); err != nil {
		return document, err
	}
	return append(append(document[:len(document)-1], ','), details[1:]...), nil
}

// delayed is implemented by details that say when a retry can succeed.
type delayed interface{ RetryAfter() time.Duration }

// retryAfter returns whole seconds, at least one.
func retryAfter(f *fault.Error) string {
	wait := time.Second
	if p, ok := f.Details().(delayed); ok {
		wait = max(wait, p.RetryAfter())
	}
	return strconv.Itoa(wholeSeconds(wait))
}

// wholeSeconds rounds up, so that waiting that long is sufficient.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
