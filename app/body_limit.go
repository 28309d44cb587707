package app

import (
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/httpx"
)

// limitBody refuses a body that is too large: immediately if its length is given, otherwise while
// reading it. After any refusal it reads the rest of the body, see drain.
func (s *Server) limitBody(next echo.HandlerFunc) echo.HandlerFunc {
	limit := s.options.HTTP.BodyLimit
	return func(c echo.Context) error {
		r := c.Request()
		body, length := r.Body, r.ContentLength
		if body == nil || body == http.NoBody {
			return next(c)
		}
		var err error
		if length > limit {
			err = httpx.ErrBodyTooLarge.With(nil, "The body may have at most %d bytes.", limit)
		} else {
			r.Body = http.MaxBytesReader(c.Response().Writer, body, limit)
			err = next(c)
		}
		if err != nil {
			drain(r, body, max(leastDrained, 2*limit)) //nolint:mnd // see drain
		}
		return err
	}
}

// leastDrained is the minimum number of bytes that are read of a refused request.
const leastDrained = 16 << 20

// drain reads the rest of a refused request's body before the answer is written, up to the limit. A
// connection that is closed with unread data is reset. Many clients write the whole request before
// they read, and would see a broken connection instead of the answer. Its duration is limited like
// that of every body.
func drain(r *http.Request, body io.Reader, most int64) {
	if r.ContentLength > most || r.ProtoMajor > 1 || r.Header.Get("Expect") != "" {
		// Too long, or not necessary: HTTP/2 resets only the stream, and a client with Expect has not sent
		// its body yet.
		return
	}
	_, _ = io.CopyN(io.Discard, body, most) // as far as possible
}
