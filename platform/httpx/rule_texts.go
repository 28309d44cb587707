package httpx

import (
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"
)

// ruleTexts are the messages of rules, as a form can show them next to the field. %s is
// the rule's parameter or the other field's name.
var ruleTexts = map[string]string{
	"required":         "must be given",
	"required_without": "must be given when %s is not",
	"required_with":    "must be given together with %s",
	"required_if":      "must be given here",
	"required_unless":  "must be given here",
	"excluded_with":    "must not be given together with %s",
	"excluded_without": "must not be given without %s",
	"excluded_if":      "must not be given here",
	"excluded_unless":  "must not be given here",
	"oneof":            "must be one of %s",
	"eq":               "must be %s",
	"ne":               "must not be %s",
	"gt":               "must be more than %s",
	"lt":               "must be less than %s",
	"eqfield":          "must be equal to %s",
	"nefield":          "must not be equal to %s",
	"gtfield":          "must be more than %s",
	"gtefield":         "must not be less than %s",
	"ltfield":          "must be less than %s",
	"ltefield":         "must not be more than %s",
	"email":            "must be an e-mail address",
	"uuid":             uuidText,
	"timezone":         "must be a time zone's name, such as America/New_York",
	"text":             "must be one line of text that is not blank",
	"alpha":            "must be letters only",
	"alphanum":         "must be letters and digits only",
	"numeric":          numberText,
	"number":           "must be digits only",
	"ascii":            "must be plain ASCII characters only",
	"printascii":       "must be printable ASCII characters only",
	"uppercase":        "must be in capital letters",
	"lowercase":        "must be in lower-case letters",
	"e164":             "must be a telephone number such as +15550100",
	"url":              "must be a URL",
	"http_url":         "must be a URL that begins with http:// or https://",
	"unique":           "must not contain duplicates",
	"startswith":       "must begin with %s",
	"endswith":         "must end with %s",
	"iso3166_1_alpha2": "must be a two-letter country code",
	"datetime":         "must be a date and time written as %s",
}

// dateTexts replace ruleTexts for comparisons of dates and instants.
var dateTexts = map[string]string{
	"gtfield":  "must be after %s",
	"gtefield": "must not be before %s",
	"ltfield":  "must be before %s",
	"ltefield": "must not be after %s",
}

// sizeTexts are the messages of rules that limit the length of a text, the number of
// entries of a list, or a number.
var sizeTexts = map[string][3]string{
	"min": {"must have at least %s characters", "must have at least %s entries", "must be at least %s"},
	"gte": {"must have at least %s characters", "must have at least %s entries", "must be at least %s"},
	"max": {"must have at most %s characters", "must have at most %s entries", "must be at most %s"},
	"lte": {"must have at most %s characters", "must have at most %s entries", "must be at most %s"},
	"len": {"must have exactly %s characters", "must have exactly %s entries", "must be %s"},
}

// text returns the code and the message for a violated rule. It never repeats the
// value, which may be health data.
func (r *rules) text(e validator.FieldError) (code, message string) {
	tag, parameter := e.Tag(), e.Param()
	code = tag
	if strings.HasPrefix(tag, "required") {
		code = "required"
	}
	if sizes, ok := sizeTexts[tag]; ok {
		return code, sized(sizes, e.Kind(), parameter)
	}
	text, ok := ruleTexts[tag]
	if date, isDate := dateTexts[tag]; isDate && e.Type() == typeInstant {
		text = date
	}
	switch {
	case !ok:
		return code, otherText
	case tag == "oneof":
		parameter = strings.Join(strings.Fields(parameter), ", ")
	case comparesFields(tag):
		parameter = r.namesOf(parameter)
	}
	return code, strings.ReplaceAll(text, "%s", parameter)
}

func sized(sizes [3]string, k reflect.Kind, parameter string) string {
	text := sizes[2]
	switch k {
	case reflect.String:
		text = sizes[0]
	case reflect.Slice, reflect.Array, reflect.Map:
		text = sizes[1]
	}
	text = strings.ReplaceAll(text, "%s", parameter)
	if parameter == "1" {
		text = strings.NewReplacer("characters", "character", "entries", "entry").Replace(text)
	}
	return text
}

func (r *rules) namesOf(parameter string) string {
	all := strings.Fields(parameter)
	for i, name := range all {
		all[i] = r.nameOf(name)
	}
	return strings.Join(all, ", ")
}
