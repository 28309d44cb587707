package app

import (
	"bytes"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"omnirapeutic/app/guide"
	"omnirapeutic/platform/apiversion"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// pathChangelog is the address of the changelog of the API's versions.
const pathChangelog = "/api/changelog"

// mountChangelog serves the changelog.
func (s *Server) mountChangelog() {
	handle := func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age="+strconv.Itoa(int(contractAge.Seconds())))
		return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, apiversion.Changelog())
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		s.echo.Add(method, pathChangelog, handle)
	}
}

const changelogSource = `<h1>Changelog</h1>
<p>Choose a version with the header <code>API-Version</code>, or pin it to an API key. <a href="{{.Path}}">As JSON</a>.</p>
{{range .Versions}}<h2 id="{{.Version}}">{{.Version}}{{if not .Released}} (not released){{end}}</h2>
<ul>{{range .Changes}}<li><strong>{{.Kind}}</strong>{{range .Operations}} <code>{{.}}</code>{{end}}: {{.Description}}</li>
{{end}}</ul>{{end}}`

// changelogPage renders the changelog as a page of the guides.
func changelogPage() (guide.Page, error) {
	var out bytes.Buffer
	err := template.Must(template.New("changelog").Parse(changelogSource)).
		Execute(&out, map[string]any{"Path": pathChangelog, "Versions": apiversion.Versions()})
	page := guide.Page{Name: "changelog", Title: "Changelog", Body: template.HTML(out.String())} //nolint:gosec // escaped above
	for _, v := range apiversion.Versions() {
		page.Parts = append(page.Parts, guide.Part{ID: v.Version, Title: v.Version})
	}
	return page, err
}

// chooseVersion refuses an unknown version, and names the version of the answer. The header of the request comes
// first, then the version of the API key, then the default.
func chooseVersion(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		version := c.Request().Header.Get(apiversion.Header)
		if version != "" && !apiversion.IsKnown(version) {
			return httpx.UnknownHeader(apiversion.Header, version, apiversion.Known())
		}
		if version == "" {
			if caller, err := identity.From(c.Request().Context()); err == nil {
				version = caller.APIVersion
			}
		}
		if version == "" {
			version = apiversion.Default()
		}
		c.Response().Header().Set(apiversion.Header, version)
		return next(c)
	}
}

// announceDeprecations sets the headers Deprecation (RFC 9745), Sunset (RFC 8594) and Link of a route that is
// deprecated, or has a deprecated field. The earliest times count.
func announceDeprecations(all []httpx.Deprecation) echo.MiddlewareFunc {
	var since, sunset time.Time
	for _, d := range all {
		since, sunset = earliest(since, d.Since), earliest(sunset, d.Sunset)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			header := c.Response().Header()
			header.Set("Deprecation", "@"+strconv.FormatInt(since.Unix(), 10))
			if !sunset.IsZero() {
				header.Set("Sunset", sunset.UTC().Format(http.TimeFormat))
			}
			header.Set("Link", "<"+pathChangelog+`>; rel="deprecation"; type="application/json"`)
			return next(c)
		}
	}
}

// earliest returns the earlier time. A zero time does not count.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
