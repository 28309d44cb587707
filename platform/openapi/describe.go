package openapi

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// openings are the first words that a description may have. They begin a noun phrase or
// a sentence with a subject, so no description begins in the middle of one.
var openings = []string{"A", "An", "The", "All", "Each", "Every", "Either", "One", "Whether", "This", "These", "If"}

// goTerms are terms that mean nothing to a reader of the document: Go's nil, and links
// and selectors to Go identifiers.
var goTerms = regexp.MustCompile(`\bnil\b|\[[A-Za-z]|\b[A-Z]\w+\.[A-Z]`)

// description turns the comment on a Go name into a description. A comment that begins
// "Name is" or "Name are" continues with the description; any other is the description
// as it is written, with the public name of a type. A description is a whole sentence: it begins with one of the
// openings, or with the public name if there is one, and ends with a full stop.
func description(goName, publicName, comment string) (string, error) {
	text := comment
	for _, verb := range []string{" is ", " are "} {
		if rest, ok := strings.CutPrefix(comment, goName+verb); ok {
			text = capital(rest)
			break
		}
	}
	if rest, ok := strings.CutPrefix(text, goName+" "); ok && publicName != "" {
		text = publicName + " " + rest
	}
	first, _, _ := strings.Cut(text, " ")
	switch term := goTerms.FindString(text); {
	case !slices.Contains(openings, strings.TrimRight(first, ",:")) && (publicName == "" || first != publicName):
		return text, fmt.Errorf("begins with %q, not with one of %s", first, strings.Join(openings, ", "))
	case !strings.HasSuffix(text, "."):
		return text, errors.New("does not end with a full stop")
	case term != "":
		return text, fmt.Errorf("contains the Go term %q", term)
	}
	return text, nil
}

// checks collects the faults in the descriptions of a document.
type checks struct {
	members  map[string]string // descriptions of members without a comment
	found    map[string]bool
	unstated map[string]string // members without a description, by the place that is reported
}

// ofType returns the description of the schema of a type.
func (c *checks) ofType(t reflect.Type, comment string) string {
	if comment == "" {
		return ""
	}
	text, err := description(typeName(t), publicName(t), comment)
	if err != nil {
		c.found[fmt.Sprintf("%s: the description %q %v", t, text, err)] = true
	}
	return text
}

// ofField returns the description of a property or a parameter.
func (c *checks) ofField(f field, comment string) string {
	place := fmt.Sprintf("%s.%s", f.owner, f.field.Name)
	comment = cmp.Or(comment, c.members[f.name])
	if comment == "" {
		c.unstated[place] = f.name
		return ""
	}
	text, err := description(f.field.Name, "", comment)
	if err == nil {
		err = namesNoGoField(f.owner, text)
	}
	if err != nil {
		c.found[fmt.Sprintf("%s: the description %q %v", place, text, err)] = true
	}
	return text
}

// namesNoGoField checks that the text refers to members by their JSON names.
func namesNoGoField(owner reflect.Type, text string) error {
	for _, other := range fieldsOf(owner) {
		if name := other.field.Name; name != other.name && capital(other.name) == name &&
			strings.ContainsFunc(other.name, isUpper) &&
			regexp.MustCompile(`\b`+name+`\b`).MatchString(text) {
			return fmt.Errorf("names the member %s by its Go name", other.name)
		}
	}
	return nil
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }

// err returns everything that was found, given the schemas of the document. A member
// without a description is accepted only if it is the id of the record itself, or of a
// record that has a schema.
func (c *checks) err(schemas Object) error {
	isID := func(name string) bool {
		for _, suffix := range []string{"Id", "Ids"} {
			if noun, ok := strings.CutSuffix(name, suffix); ok {
				return schemas.Get(capital(noun)) != nil
			}
		}
		return name == "id"
	}
	for place, name := range c.unstated {
		if !isID(name) {
			c.found[place+": has no comment that describes "+name] = true
		}
	}
	all := make([]error, 0, len(c.found))
	for text := range c.found {
		all = append(all, errors.New(text))
	}
	slices.SortFunc(all, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(all...)
}
