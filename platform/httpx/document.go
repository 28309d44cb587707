package httpx

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
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
	return documentEndpoint(media, fresh, func(ctx context.Context, in In) (File, error) {
		text, err := fn(ctx, in)
		return File{Content: text}, err
	})
}

// HeaderChecksum is the header of a file with the SHA-256 of its content in hexadecimal. The content
// is the one before compression, unlike that of the Repr-Digest of RFC 9530.
const HeaderChecksum = "X-Checksum-SHA256"

// File is a file to download.
type File struct {
	Name    string // for Content-Disposition; "": the answer is a document without a name
	Content string
}

// HandleFile is like [HandleDocument] for a file that is stored under a name. Browsers save it, and
// [HeaderChecksum] has its SHA-256. Out describes a JSON file for the API contract; for other media
// types it is [None].
func HandleFile[In, Out any](
	media string, fresh time.Duration, fn func(ctx context.Context, in In) (File, error),
) Endpoint {
	e := documentEndpoint(media, fresh, fn)
	e.Out, e.Saved = reflect.TypeFor[Out](), true
	return e
}

// documentEndpoint returns the endpoint of a document or a file.
func documentEndpoint[In any](
	media string, fresh time.Duration, fn func(ctx context.Context, in In) (File, error),
) Endpoint {
	in := reflect.TypeFor[In]()
	binder := newBinder(in)
	serve := func(c echo.Context, before Before) error {
		var request In
		if err := binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
			return err
		}
		f, err := fn(c.Request().Context(), request)
		if err != nil {
			return err
		}
		if err := before(c.Request().Context()); err != nil {
			return err
		}
		return f.send(c, media, fresh)
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

// send answers with the file, or with 304 if the client has it.
func (f File) send(c echo.Context, media string, fresh time.Duration) error {
	sum := sha256.Sum256([]byte(f.Content))
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	header := c.Response().Header()
	header.Set("ETag", tag)
	header.Set(echo.HeaderCacheControl, fmt.Sprintf("private, max-age=%d", int(fresh.Seconds())))
	if f.Name != "" {
		header.Set(HeaderChecksum, hex.EncodeToString(sum[:]))
		header.Set(echo.HeaderContentDisposition, mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	}
	if has(c.Request().Header.Values("If-None-Match"), tag) {
		return c.NoContent(http.StatusNotModified)
	}
	if media != echo.MIMEApplicationJSON { // JSON is always UTF-8 (RFC 8259, section 8.1)
		media += "; charset=utf-8"
	}
	return c.Blob(http.StatusOK, media, []byte(f.Content))
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
