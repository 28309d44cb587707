package httpx

import (
	"context"
	"fmt"
	"net/http"
	"reflect"

	"github.com/labstack/echo/v4"
)

// Redirect sends a browser elsewhere.
type Redirect struct {
	URL    string
	Cookie *http.Cookie // to be set, or removed; nil: none
}

// AnyQuery makes an endpoint ignore unknown query parameters when it is embedded in its In. It is
// for addresses to which another server redirects, or which other programs store and may extend.
type AnyQuery struct{}

// HandleRedirect adapts a function to an [Endpoint] that answers with 302 Found, for
// browsers that come to the address by themselves. In is read as by [Handle]. Errors
// become problem documents as usual.
func HandleRedirect[In any](fn func(ctx context.Context, in In) (Redirect, error)) Endpoint {
	in := reflect.TypeFor[In]()
	binder := newBinder(in)
	prepare := func(c echo.Context) (Call, error) {
		var request In
		if err := binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
			return Call{}, err
		}
		return Call{request, func(context.Context) (Reply, error) {
			return Reply{}, fmt.Errorf("httpx: a redirect is not kept to be sent again")
		}}, nil
	}
	return Endpoint{In: in, Out: reflect.TypeFor[None](), Status: http.StatusFound, Params: binder.params(), prepare: prepare, serve: func(c echo.Context, before Before) error {
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
	}}
}
