package app

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/fault"
)

// pathErrors is the address of the list of errors. The type of a problem document is the address of a page
// below it (RFC 9457, section 3.1.1).
const pathErrors = "/api/errors"

// errorPagesPolicy allows a page nothing but its own style.
const errorPagesPolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

//go:embed error_pages.html
var errorPagesSource string

// errorPages returns the templates "error" and "errors".
var errorPages = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{"code": codeSpans}).Parse(errorPagesSource))
})

// generalAdvice is what a client should do about errors of a kind that have no advice of their own.
var generalAdvice = map[fault.Kind]string{
	fault.Malformed:       "This is a bug in the client. `detail` describes the problem.",
	fault.Unauthenticated: "Sign in, and send the access token.",
	fault.Forbidden:       "Do not offer this to the user. `permission` names the missing permission.",
	fault.NotFound:        "Show that the record was not found. It may belong to another organization.",
	fault.Conflict:        "Show the text and the current state. The request is refused until the state changes.",
	fault.TooLarge:        "Send less.",
	fault.Unsupported:     "Send JSON with `Content-Type: application/json`.",
	fault.Unavailable: "Wait for the time in `Retry-After`, and retry the same request with the same " +
		"`Idempotency-Key`.",
}

// AdviceOf returns what a client should do about the error, with code in backticks.
func AdviceOf(f *fault.Error) string { return cmp.Or(f.Advice(), generalAdvice[f.Kind()]) }

// ErrorsByStatus returns all errors of the program, sorted by status and code.
func ErrorsByStatus() []*fault.Error {
	all := fault.All()
	slices.SortStableFunc(all, func(a, b *fault.Error) int { return cmp.Compare(StatusOf(a), StatusOf(b)) })
	return all
}

// errorPage is the content of a page about one code.
type errorPage struct {
	Code, Title, Advice string
	Status              int
	StatusText          string
	Members             []errorMember
	Operations          []string // such as "POST /appointments"; empty for errors of almost every operation
	General             bool     // almost every operation has this error
}

// errorMember is a member that the problem documents of a code add.
type errorMember struct {
	Name, Description string
	Type              string // such as "integer" and "uuid"; empty for a type that has a schema of its own
}

// allErrorPages are built once, from the defined errors and the contract.
var allErrorPages = sync.OnceValue(func() []errorPage {
	var described contractErrors
	if err := json.Unmarshal(contract, &described); err != nil {
		panic("app: the embedded contract cannot be read: " + err.Error()) // TestContract generates it
	}
	operations, count := described.operations()
	var pages []errorPage
	for _, f := range ErrorsByStatus() {
		page := errorPage{
			Code: f.Code(), Title: f.Title(), Advice: AdviceOf(f), Status: StatusOf(f), StatusText: http.StatusText(StatusOf(f)),
			Members: described.members(f.Code()), Operations: operations[f.Code()],
		}
		if len(page.Operations) > count/2 {
			page.General, page.Operations = true, nil
		}
		pages = append(pages, page)
	}
	return pages
})

// contractErrors is the part of the contract that describes errors.
type contractErrors struct {
	Paths      map[string]map[string]struct{ Responses map[string]json.RawMessage }
	Components struct {
		Responses map[string]json.RawMessage
		Schemas   map[string]problemSchema
	}
}

// problemSchema is the schema of the problem documents of one code: the shared members and the members of the code.
type problemSchema struct {
	AllOf []struct {
		Properties map[string]struct {
			Const               any
			Description, Format string
			Type                any // a name, or a list of names
		}
	}
}

// code returns the code, or an empty text for a schema of something else.
func (s problemSchema) code() string {
	if len(s.AllOf) < 2 {
		return ""
	}
	code, _ := s.AllOf[1].Properties["code"].Const.(string)
	return code
}

// members returns the members that the code adds, sorted by name.
func (c contractErrors) members(code string) []errorMember {
	var all []errorMember
	for _, schema := range c.Components.Schemas {
		if schema.code() != code {
			continue
		}
		for name, p := range schema.AllOf[1].Properties {
			if p.Const != nil {
				continue
			}
			kind, _ := p.Type.(string)
			all = append(all, errorMember{name, p.Description, cmp.Or(p.Format, kind)})
		}
	}
	slices.SortFunc(all, func(a, b errorMember) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// operations returns the operations that can return each code, and the number of all operations.
func (c contractErrors) operations() (byCode map[string][]string, count int) {
	byCode = map[string][]string{}
	for path, methods := range c.Paths {
		for method, operation := range methods {
			count++
			for code := range c.codesOf(operation.Responses) {
				byCode[code] = append(byCode[code], path+" "+strings.ToUpper(method))
			}
		}
	}
	for _, all := range byCode {
		slices.Sort(all)
		for i, o := range all {
			path, method, _ := strings.Cut(o, " ")
			all[i] = method + " " + path
		}
	}
	return byCode, count
}

var references = regexp.MustCompile(`"\$ref": *"#/components/(schemas|responses)/([^"]+)"`)

// codesOf returns the codes of the problem documents to which the responses refer.
func (c contractErrors) codesOf(responses map[string]json.RawMessage) map[string]bool {
	found := map[string]bool{}
	for _, response := range responses {
		for _, r := range references.FindAllSubmatch(response, -1) {
			if string(r[1]) == "schemas" {
				found[c.Components.Schemas[string(r[2])].code()] = true
				continue
			}
			for _, inner := range references.FindAllSubmatch(c.Components.Responses[string(r[2])], -1) {
				found[c.Components.Schemas[string(inner[2])].code()] = true
			}
		}
	}
	delete(found, "")
	return found
}

// codeSpans returns the text as HTML, with each part in backticks as code.
func codeSpans(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = template.HTMLEscapeString(part)
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String()) //nolint:gosec // each part is escaped
}

// mountErrorPages serves a page for each code of problem documents, and the list of all codes, in every profile.
func (s *Server) mountErrorPages() {
	list := func(c echo.Context) error { return answerErrorPage(c, "errors", allErrorPages()) }
	one := func(c echo.Context) error {
		pages := allErrorPages()
		i := slices.IndexFunc(pages, func(p errorPage) bool { return p.Code == c.Param("code") })
		if i < 0 {
			return errRouteNotFound
		}
		return answerErrorPage(c, "error", pages[i])
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		s.echo.Add(method, pathErrors, list)
		s.echo.Add(method, pathErrors+"/:code", one)
	}
}

func answerErrorPage(c echo.Context, name string, content any) error {
	var page bytes.Buffer
	if err := errorPages().ExecuteTemplate(&page, name, content); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderContentSecurityPolicy, errorPagesPolicy)
	c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age="+strconv.Itoa(int(contractAge.Seconds())))
	return c.HTMLBlob(http.StatusOK, page.Bytes())
}
