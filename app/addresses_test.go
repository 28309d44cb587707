package app_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// texted are the parameters of addresses that take text, and why no health data stand
// there. All others are ids, dates, numbers, switches and words of a list.
var texted = map[string]string{
	"query cursor":                           "it is sealed",
	"query code of listServiceCodes":         "a service's code, as 97153: what is done and not for whom",
	"query types of listenToEvents":          "types of events, others are refused",
	"query action of listAuditEvents":        "an action's name, as authorization.reserve",
	"query action of exportAuditEvents":      "likewise",
	"path id of acknowledgeAlert":            "an id and a kind of alert",
	"path role of changePermissionSet":       "a role's name, others are refused",
	"path role of restorePermissionSet":      "likewise",
	"path file of readCalendar":              "the random token of a link, and .ics",
	"query source of listAnonymousAttempts":  "a network address, which the operator has from the program's own logs",
	"query challenge of startProviderSignIn": "a hash",
	"query state of finishProviderSignIn":    "random, of our own",
	"query code of finishProviderSignIn":     "random, the provider's",
	"query iss of finishProviderSignIn":      "the provider's name",
	"query error of finishProviderSignIn":    "a code of the provider's, of which nothing is kept",
}

// TestAddressesTakeNothingOfPeople looks at all parameters of all paths and queries:
// browsers, proxies and servers keep addresses, so names, numbers and stories travel in
// bodies.
func TestAddressesTakeNothingOfPeople(t *testing.T) {
	t.Parallel()
	document := readDocument(t)
	met := map[string]bool{}
	for path, item := range document["paths"].(map[string]any) {
		for _, operation := range item.(map[string]any) {
			o, ok := operation.(map[string]any)
			if !ok || o["parameters"] == nil {
				continue
			}
			for _, each := range o["parameters"].([]any) {
				parameter := document.resolve(each)
				if in := parameter["in"]; in != "query" && in != "path" || !document.isText(parameter["schema"]) {
					continue
				}
				place := parameter["in"].(string) + " " + parameter["name"].(string)
				if texted[place] == "" {
					place += " of " + o["operationId"].(string)
				}
				require.NotEmpty(t, texted[place], "%s takes text in its address: %s", path, place)
				met[place] = true
			}
		}
	}
	for place := range texted {
		require.True(t, met[place], "nothing has %s any more", place)
	}
}

// isText reports whether what stands there may be anything.
func (d contractDocument) isText(at any) bool {
	schema := d.resolve(at)
	if items, ok := schema["items"]; ok {
		return d.isText(items)
	}
	kinds, _ := schema["type"].([]any)
	return (schema["type"] == "string" || slices.Contains(kinds, any("string"))) && schema["enum"] == nil && schema["format"] == nil
}
