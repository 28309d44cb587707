package httpx

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// HandleDocument adapts a function to an [Endpoint] that answers with a text of the
// media type, such as text/calendar, instead of JSON. In is read as by [Handle]. The
// answer has an ETag of its content, and a matching If-None-Match is answered with 304.
// Only the client may cache it, and for the duration fresh without revalidation. Errors
// become problem documents as usual.
func HandleDocument[In any](
	media string, fresh time.Duration, fn func(ctx context.Context, in In) (string, error),
) Endpoint {
	in := reflect.TypeFor[In]()
	binder := newBinder(in)
	serve := func(c echo.Context, before Before) error {
		var request In
		if err := binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
			return err
		}
		text, err := fn(c.Request().Context(), request)
		if err != nil {
			return err
		}
		if err := before(c.Request().Context()); err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(text))
		tag := `"` + hex.EncodeToString(sum[:16]) + `"`
		header := c.Response().Header()
		header.Set("ETag", tag)
		header.Set(echo.HeaderCacheControl, fmt.Sprintf("private, max-age=%d", int(fresh.Seconds())))
		if has(c.Request().Header.Values("If-None-Match"), tag) {
			return c.NoContent(http.StatusNotModified)
		}
		return c.Blob(http.StatusOK, media+"; charset=utf-8", []byte(text))
	}
	return Endpoint{
		In:      in,
		Out:     reflect.TypeFor[None](),
		Status:  http.StatusOK,
		Params:  binder.params(),
		Media:   media,
		prepare: notStored[In](binder, "an answer of the type "+media),
		serve:   serve,
	}
}

// has reports whether If-None-Match contains the tag, by weak comparison (RFC 9110,
// section 13.1.2).
func has(lines []string, tag string) bool {
	for _, line := range lines {
		for each := range strings.SplitSeq(line, ",") {
			each = strings.TrimPrefix(strings.TrimSpace(each), "W/")
			if each == "*" || each == tag {
				return true
			}
		}
	}
	return false
}

// notStored returns the prepare function of an endpoint whose answer cannot be stored: the execution
// of its command fails.
func notStored[In any](b *binder, answer string) func(c echo.Context) (Call, error) {
	return func(c echo.Context) (Call, error) {
		var request In
		if err := b.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
			return Call{}, err
		}
		return Call{request, func(context.Context) (Reply, error) {
			return Reply{}, fmt.Errorf("httpx: %s cannot be stored for repeated requests", answer)
		}}, nil
	}
}
