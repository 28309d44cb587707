package httpx

import (
	"context"
	"net/http"
	"reflect"

	"github.com/labstack/echo/v4"
)

// Redirect is the answer that redirects a browser.
type Redirect struct {
	URL    string
	Cookie *http.Cookie // cookie to set or remove; may be nil
}

// AnyQuery makes an endpoint that embeds it in its In ignore unknown query parameters. It is
// for URLs to which another server redirects, or which other programs store and may extend.
type AnyQuery struct{}

// HandleRedirect adapts a function to an [Endpoint] that answers with 302 Found, for
// URLs that browsers open directly. In is read as by [Handle]. Errors become problem
// documents as usual.
func HandleRedirect[In any](fn func(ctx context.Context, in In) (Redirect, error)) Endpoint {
	in := reflect.TypeFor[In]()
	binder := newBinder(in)
	serve := func(c echo.Context, before Before) error {
		var request In
		if err := binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
			return err
		}
		to, err := fn(c.Request().Context(), request)
		if to.Cookie != nil {
			c.SetCookie(to.Cookie)
		}
		if err != nil {
			return err
		}
		if err := before(c.Request().Context()); err != nil {
			return err
		}
		return c.Redirect(http.StatusFound, to.URL)
	}
	return Endpoint{
		In:      in,
		Out:     reflect.TypeFor[None](),
		Status:  http.StatusFound,
		Params:  binder.params(),
		prepare: notStored[In](binder, "a redirect"),
		serve:   serve,
	}
}
