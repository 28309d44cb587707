// Package guide renders the documents about the API as pages of HTML.
package guide

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Page is a guide as HTML.
type Page struct {
	Name  string // the last element of its address
	Title string
	Body  template.HTML
	Parts []Part // its second-level headings
}

// Part is a heading of a page.
type Part struct{ ID, Title string }

// source is a guide and its part of a document.
type source struct {
	name, title string
	file        string
	section     string // the second-level heading whose section is the guide; "" for the document without other guides' sections
}

// sources are the guides, in the order of the menu.
var sources = []source{
	{name: "start", title: "First steps", file: "frontend/README.md"},
	{name: "conventions", title: "Conventions", file: "api.md"},
	{name: "errors", title: "Errors", file: "errors.md"},
	{name: "events", title: "Live events", file: "api.md", section: "Live events"},
	{name: "webhooks", title: "Webhooks", file: "api.md", section: "Webhooks"},
	{name: "roles", title: "Roles", file: "roles.md"},
	{name: "permissions", title: "Permissions", file: "scopes.md"},
	{name: "sessions", title: "Sessions and notes", file: "sessions.md"},
}

// Links are the addresses to which pages refer.
type Links struct {
	Guides string          // the prefix of the pages
	Errors string          // the prefix of the pages about error codes
	Codes  map[string]bool // the error codes that have a page
}

// Render renders all guides. Links between documents become links between pages. A link to a document
// that is no guide becomes text. A code span with an error code becomes a link to the page about it.
func Render(documents fs.FS, links Links) ([]Page, error) {
	r := renderer{links: links, text: map[string][]byte{}, anchors: map[string]string{}}
	for _, s := range sources {
		if err := r.read(documents, s); err != nil {
			return nil, err
		}
	}
	var pages []Page
	for _, s := range sources {
		page, err := r.render(s)
		if err != nil {
			return nil, fmt.Errorf("render the guide %s: %w", s.name, err)
		}
		pages = append(pages, page)
	}
	return pages, nil
}

type renderer struct {
	links   Links
	text    map[string][]byte // Markdown by the name of the guide
	anchors map[string]string // the name of the guide, by file and id of a heading such as "api.md#webhooks"
}

var secondLevel = regexp.MustCompile(`(?m)^## (.+)$`)

// read cuts the guide from its document and notes its headings.
func (r *renderer) read(documents fs.FS, s source) error {
	raw, err := fs.ReadFile(documents, s.file)
	if err != nil {
		return err
	}
	var kept []byte
	bounds := secondLevel.FindAllSubmatchIndex(raw, -1)
	if s.section == "" && len(bounds) > 0 {
		kept = append(kept, raw[:bounds[0][0]]...)
	}
	for i, b := range bounds {
		end := len(raw)
		if i+1 < len(bounds) {
			end = bounds[i+1][0]
		}
		if owner(s.file, string(raw[b[2]:b[3]])) == s.name {
			kept = append(kept, raw[b[0]:end]...)
		}
	}
	if len(bounds) == 0 {
		kept = raw
	}
	if s.section != "" && len(kept) == 0 {
		return fmt.Errorf("%s has no section %q", s.file, s.section)
	}
	if s.section != "" {
		kept = bytes.ReplaceAll(kept[1:], []byte("\n##"), []byte("\n#")) // the section is a page of its own
	}
	r.text[s.name] = kept
	document := markdown.Parser().Parse(text.NewReader(kept))
	return ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if h, ok := n.(*ast.Heading); ok && entering {
			r.anchors[s.file+"#"+idOf(h)] = s.name
		}
		return ast.WalkContinue, nil
	})
}

// owner returns the guide that has the section of the file.
func owner(file, section string) string {
	whole := ""
	for _, s := range sources {
		if s.file == file && s.section == section {
			return s.name
		}
		if s.file == file && s.section == "" {
			whole = s.name
		}
	}
	return whole
}

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(html.WithXHTML()))

func (r *renderer) render(s source) (Page, error) {
	raw := r.text[s.name]
	document := markdown.Parser().Parse(text.NewReader(raw))
	page := Page{Name: s.name, Title: s.title}
	var nodes []ast.Node
	err := ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			nodes = append(nodes, n)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return Page{}, err
	}
	for _, n := range nodes { // collected before, because links and code spans are replaced
		switch n := n.(type) {
		case *ast.Heading:
			if n.Level == 2 {
				page.Parts = append(page.Parts, Part{idOf(n), plain(n, raw)})
			}
		case *ast.Link:
			r.relink(n, s)
		case *ast.CodeSpan:
			r.linkCode(n, raw)
		}
	}
	var out bytes.Buffer
	if err := markdown.Renderer().Render(&out, raw, document); err != nil {
		return Page{}, err
	}
	page.Body = template.HTML(out.String()) //nolint:gosec // rendered from embedded documents, without their HTML
	return page, nil
}

// relink replaces the target of a link by the address of the page that has it, or the link by its text.
func (r *renderer) relink(n *ast.Link, s source) {
	target := string(n.Destination)
	if strings.Contains(target, "://") || strings.HasPrefix(target, "/") {
		return
	}
	file, fragment, _ := strings.Cut(target, "#")
	if file == "" {
		file = s.file
	} else {
		file = path.Join(path.Dir(s.file), file)
	}
	name := owner(file, "")
	if fragment != "" {
		name = r.anchors[file+"#"+fragment]
		fragment = "#" + fragment
	}
	if name != "" {
		n.Destination = []byte(r.links.Guides + name + fragment)
		return
	}
	for child := n.FirstChild(); child != nil; {
		next := child.NextSibling()
		n.Parent().InsertBefore(n.Parent(), n, child)
		child = next
	}
	n.Parent().RemoveChild(n.Parent(), n)
}

// linkCode makes a code span with an error code a link to the page about it.
func (r *renderer) linkCode(n *ast.CodeSpan, raw []byte) {
	code := plain(n, raw)
	if _, linked := n.Parent().(*ast.Link); linked || !r.links.Codes[code] {
		return
	}
	link := ast.NewLink()
	link.Destination = []byte(r.links.Errors + code)
	n.Parent().ReplaceChild(n.Parent(), n, link)
	link.AppendChild(link, n)
}

func idOf(h *ast.Heading) string {
	id, _ := h.AttributeString("id")
	raw, _ := id.([]byte)
	return string(raw)
}

// plain returns the text of a node without markup.
func plain(n ast.Node, raw []byte) string {
	var b strings.Builder
	for child := n.FirstChild(); child != nil; child = child.NextSibling() {
		if t, ok := child.(*ast.Text); ok {
			b.Write(util.UnescapePunctuations(t.Segment.Value(raw)))
		} else {
			b.WriteString(plain(child, raw))
		}
	}
	return b.String()
}

// Find returns the page with the name.
func Find(pages []Page, name string) (Page, bool) {
	i := slices.IndexFunc(pages, func(p Page) bool { return p.Name == name })
	if i < 0 {
		return Page{}, false
	}
	return pages[i], true
}
