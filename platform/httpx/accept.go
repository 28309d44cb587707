package httpx

import (
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

// mediaRange is one entry of an Accept header, such as text/*;q=0.5.
type mediaRange struct {
	kind, subtype string // * for any
	weight        float64
}

// accept is an Accept header. An empty header accepts everything.
type accept []mediaRange

// qvalue is a weight by RFC 9110, section 12.4.2.
var qvalue = regexp.MustCompile(`^(0(\.[0-9]{0,3})?|1(\.0{0,3})?)$`)

// acceptOf parses the Accept headers of a request. It ignores entries that do not follow RFC 9110.
func acceptOf(h http.Header) accept {
	var all accept
	for entry := range strings.SplitSeq(strings.Join(h.Values(echo.HeaderAccept), ","), ",") {
		media, parameters, err := mime.ParseMediaType(entry)
		kind, subtype, ok := strings.Cut(media, "/")
		if err != nil || !ok || kind == "*" && subtype != "*" {
			continue
		}
		one := mediaRange{kind, subtype, 1}
		if text, given := parameters["q"]; given {
			if !qvalue.MatchString(text) {
				continue
			}
			one.weight, _ = strconv.ParseFloat(text, 64) // a qvalue is a number
		}
		all = append(all, one)
	}
	return all
}

// quality returns the weight of a media type, from 0 (not acceptable) to 1: the weight of the most
// specific matching entry.
func (a accept) quality(kind, subtype string) float64 {
	if len(a) == 0 {
		return 1
	}
	weight, closest := 0.0, 0
	for _, entry := range a {
		match := 0
		switch {
		case entry.kind == kind && entry.subtype == subtype:
			match = 3
		case entry.kind == kind && entry.subtype == "*":
			match = 2
		case entry.kind == "*":
			match = 1
		}
		if match > closest {
			weight, closest = entry.weight, match
		}
	}
	return weight
}
