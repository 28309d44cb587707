package app

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"omnirapeutic/app/demo"
	"omnirapeutic/app/guide"
	"omnirapeutic/docs"
	"omnirapeutic/platform/fault"
)

const pathGuides = pathDocs + "/guides/"

// docsPolicy allows the API documentation page to run its own scripts and call this
// server.
const docsPolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"

// guidesPolicy allows a guide nothing but its own style sheet.
const guidesPolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var (
	//go:embed docs_page.css
	docsPageStyle []byte
	//go:embed docs_page.js
	docsPageScript []byte
	//go:embed docs_guide.css
	docsGuideStyle []byte
	//go:embed docs_guide.html
	docsGuideSource string
)

// docsHead adds the style and the script of the page: search by words, and sign-in as a user of the demo.
const docsHead = `
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <link rel="stylesheet" type="text/css" href="` + pathDocs + `/page.css">
    <script src="` + pathDocs + `/page.js"></script>`

// docsBar is the bar above the page.
const docsBar = `
<header class="omni-bar"><strong>Omnirapeutic API</strong>
  <a href="` + pathGuides + `start">First steps</a>
  <a href="` + pathGuides + `conventions">Conventions</a>
  <a href="` + pathGuides + `errors">Errors</a>
  <a href="` + pathGuides + `events">Live events</a>
  <a href="` + pathGuides + `webhooks">Webhooks</a>
  <a href="` + pathGuides + `roles">Roles</a>
  <a href="` + pathGuides + `changelog">Changelog</a>
</header>
<div id="omni-demo" class="omni-demo" hidden>Demo practice. Sign in as</div>`

// mountDocs serves the API documentation page and the guides, which are embedded in the program, and
// redirects the root path to the page. The page forgets tokens when it is closed.
func (s *Server) mountDocs() {
	page := v5emb.NewHandlerWithConfig(swgui.Config{
		Title: "Omnirapeutic API", SwaggerJSON: pathContract, BasePath: pathDocs, AppendHead: docsHead, PrependHTML: docsBar,
		SettingsUI: map[string]string{
			"plugins":                "[SwaggerUIBundle.plugins.DownloadUrl, WordSearch]",
			"persistAuthorization":   "false",
			"tryItOutEnabled":        "true",
			"displayRequestDuration": "true",
			"docExpansion":           `"none"`,
			"filter":                 "true",
		},
	})
	serve := func(c echo.Context) error {
		setPageHeaders(c, docsPolicy)
		page.ServeHTTP(c.Response(), c.Request())
		return nil
	}
	lead := func(c echo.Context) error { return c.Redirect(http.StatusFound, pathDocs) }
	firstGuide := func(c echo.Context) error { return c.Redirect(http.StatusFound, pathGuides+"start") }
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		s.echo.Add(method, pathDocs, serve)
		s.echo.Add(method, pathDocs+"/*", serve)
		s.echo.Add(method, pathDocs+"/page.css", asset("text/css; charset=utf-8", docsPageStyle))
		s.echo.Add(method, pathDocs+"/page.js", asset("text/javascript; charset=utf-8", docsPageScript))
		s.echo.Add(method, pathDocs+"/guide.css", asset("text/css; charset=utf-8", docsGuideStyle))
		s.echo.Add(method, pathDocs+"/demo-sign-ins.json", s.handleDemoSignIns)
		s.echo.Add(method, pathGuides+":name", handleGuide)
		s.echo.Add(method, pathDocs+"/guides", firstGuide)
		for _, path := range []string{"/", "/api", "/api/"} {
			s.echo.Add(method, path, lead)
		}
	}
}

func setPageHeaders(c echo.Context, policy string) {
	c.Response().Header().Set(echo.HeaderContentSecurityPolicy, policy)
	c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=300")
}

// asset serves an embedded file.
func asset(kind string, content []byte) echo.HandlerFunc {
	return func(c echo.Context) error {
		setPageHeaders(c, guidesPolicy)
		return c.Blob(http.StatusOK, kind, content)
	}
}

// demoAccount is a user of the demo practice, as which the page can sign in.
type demoAccount struct {
	Email string `json:"email"`
	Label string `json:"label"` // such as "scheduler"
}

// handleDemoSignIns lists the users of the demo practice, as the program prints them at its start. The list is
// empty without the demo practice.
func (s *Server) handleDemoSignIns(c echo.Context) error {
	var emails []string
	if s.options.DemoSignIns != nil {
		var err error
		if emails, err = s.options.DemoSignIns(c.Request().Context()); err != nil {
			return err
		}
	}
	accounts := make([]demoAccount, 0, len(emails))
	for _, email := range emails {
		name, domain, _ := strings.Cut(email, "@")
		if domain != "demo.test" {
			name += " (" + strings.TrimSuffix(domain, ".test") + ")"
		}
		accounts = append(accounts, demoAccount{email, name})
	}
	password := ""
	if len(accounts) > 0 {
		password = demo.Password
	}
	return c.JSON(http.StatusOK, map[string]any{"accounts": accounts, "password": password})
}

// guides are rendered once.
var guides = sync.OnceValue(func() []guide.Page {
	codes := map[string]bool{}
	for _, f := range fault.All() {
		codes[f.Code()] = true
	}
	pages, err := guide.Render(docs.Guides, guide.Links{Guides: pathGuides, Errors: pathErrors + "/", Codes: codes})
	if err != nil {
		panic("app: the embedded guides cannot be rendered: " + err.Error())
	}
	changes, err := changelogPage()
	if err != nil {
		panic("app: the changelog cannot be rendered: " + err.Error())
	}
	return append(pages, changes)
})

var guideTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("guide").Parse(docsGuideSource))
})

func handleGuide(c echo.Context) error {
	page, found := guide.Find(guides(), c.Param("name"))
	if !found {
		return echo.ErrNotFound
	}
	var out bytes.Buffer
	err := guideTemplate().Execute(&out, map[string]any{"Page": page, "Pages": guides(), "Guides": pathGuides, "Docs": pathDocs})
	if err != nil {
		return err
	}
	setPageHeaders(c, guidesPolicy)
	return c.HTMLBlob(http.StatusOK, out.Bytes())
}
