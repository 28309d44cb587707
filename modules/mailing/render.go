package mailing

import (
	"embed"
	"errors"
	"html/template"
	"strings"
	text "text/template"
	"unicode"

	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/smtp"
)

//go:embed templates
var files embed.FS

// contents are the templates of each language, one file for each kind. The first paragraph is the
// subject. The others are the content, from which both the text and the HTML are made. A paragraph that
// is a link becomes a link in HTML.
var contents = readContents()

func readContents() map[Language]*text.Template {
	all := map[Language]*text.Template{}
	for _, l := range languages {
		all[l] = text.Must(text.New("").Option("missingkey=error").ParseFS(files, "templates/"+string(l)+"/*.txt"))
	}
	return all
}

// layout shows the paragraphs as HTML.
var layout = template.Must(template.ParseFS(files, "templates/layout.html"))

// view is the data of a content template. All texts are single lines.
type view struct {
	Organization string
	Name         string
	Link         string
	Until        string
	At           string
	Change       string
	Address      string
	Count        int
	// NamesPractice: reminders of appointments may name the practice.
	NamesPractice bool
}

// page is the data of the layout.
type page struct {
	Language   Language
	Subject    string
	Paragraphs []paragraph
}

// paragraph is a text, or a link if it is one.
type paragraph struct {
	Text   string
	IsLink bool
}

var errEmptyTemplate = errors.New("mailing: a template has no content")

// render returns the letter of a mail, without its recipient.
func render(m queuedMail, values mail.Values, from Organization) (smtp.Letter, error) {
	language := m.Language
	v := view{
		Organization:  oneLine(from.Name),
		Name:          oneLine(values.Name),
		Link:          values.Link,
		Until:         dateAndTime(language, values.Until, from.Location),
		At:            dateAndTime(language, values.At, from.Location),
		Change:        string(values.Change),
		Address:       oneLine(values.Address),
		Count:         values.Count,
		NamesPractice: m.NamesPractice,
	}
	var content strings.Builder
	if err := contents[language].ExecuteTemplate(&content, string(m.Kind)+".txt", v); err != nil {
		return smtp.Letter{}, err
	}
	paragraphs := strings.Split(strings.TrimSpace(content.String()), "\n\n")
	if len(paragraphs) < 2 { //nolint:mnd // a subject and a text
		return smtp.Letter{}, errEmptyTemplate
	}
	p := page{Language: language, Subject: paragraphs[0]}
	for _, each := range paragraphs[1:] {
		p.Paragraphs = append(p.Paragraphs, paragraph{Text: each, IsLink: v.Link != "" && each == v.Link})
	}
	var html strings.Builder
	if err := layout.Execute(&html, p); err != nil {
		return smtp.Letter{}, err
	}
	return smtp.Letter{
		Subject: p.Subject, Text: strings.Join(paragraphs[1:], "\n\n") + "\n", HTML: html.String(),
	}, nil
}

// oneLine replaces control characters and line separators, so that a name cannot add a paragraph or a
// header field.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}
