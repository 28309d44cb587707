package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// referringIDs are the ids of known kinds, with the member that has the expanded record.
var referringIDs = map[string]string{
	"patientId": "patient", "practitionerId": "practitioner", "practitionerIds": "practitioners",
	"supervisingPractitionerId": "supervisor", "renderingPractitionerId": "renderingPractitioner",
	"serviceCodeId": "serviceCode", "authorizationId": "authorization", "renewalId": "renewal", "locationId": "location",
	"payerId": "payer", "insuranceId": "insurance",
}

// idsWithoutNames are the ids without a text, with the reason.
var idsWithoutNames = map[string]string{
	"Appointment practitionerId":              "the first of practitionerIds",
	"Session practitionerId":                  "the first of practitionerIds",
	"Warning practitionerId":                  "only in answers to changes",
	"AuditEvent patientId":                    "the trail names records of any age, also deleted ones",
	"Discrepancy authorizationId":             "operators see no data of patients",
	"ReconciledAuthorization authorizationId": "not in the audit trail as a read of patients",
	"BalanceChange authorizationId":           "an event",
	"AppointmentChange practitionerIds":       "an event",
	"SessionSigned practitionerIds":           "an event",
	"EntryChange practitionerIds":             "an event",
}

// TestContractNamesEveryReference walks the OpenAPI document. Each object in the answer to a GET that has an id of a known
// kind has a member display, and a member for the expanded record. The operation lists it under expand.
func TestContractNamesEveryReference(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../app/openapi.json")
	require.NoError(t, err)
	var document struct {
		Paths      map[string]map[string]map[string]any
		Components struct{ Schemas map[string]map[string]any }
	}
	require.NoError(t, json.Unmarshal(raw, &document))
	schemas, exempt := document.Components.Schemas, map[string]bool{}
	for path, operations := range document.Paths {
		get, ok := operations["get"]
		if !ok {
			continue
		}
		var expands []string
		for _, p := range asList(get["parameters"]) {
			if p["name"] == "expand" {
				for _, name := range p["schema"].(map[string]any)["items"].(map[string]any)["enum"].([]any) {
					expands = append(expands, name.(string))
				}
			}
		}
		reached := map[string]bool{}
		reach(get["responses"].(map[string]any)["200"], schemas, reached)
		for _, name := range slices.Sorted(maps.Keys(reached)) {
			properties, _ := schemas[name]["properties"].(map[string]any)
			for id, member := range referringIDs {
				if _, ok := properties[id]; !ok {
					continue
				}
				if idsWithoutNames[name+" "+id] != "" {
					exempt[name+" "+id] = true
					continue
				}
				assert.Contains(t, properties, "display", "%s: %s", path, name)
				assert.Contains(t, properties, member, "%s: %s", path, name)
				assert.Contains(t, expands, member, "%s: %s", path, name)
			}
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(idsWithoutNames)), slices.Collect(maps.Keys(exempt)),
		"an exemption without such an id")
}

// reach adds the names of the schemas to which a part of the document leads, except in expanded records.
func reach(part any, schemas map[string]map[string]any, reached map[string]bool) {
	switch part := part.(type) {
	case []any:
		for _, each := range part {
			reach(each, schemas, reached)
		}
	case map[string]any:
		if description, _ := part["description"].(string); strings.Contains(description, "with `expand=") {
			return
		}
		if ref, ok := part["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, "#/components/schemas/")
			if !reached[name] {
				reached[name] = true
				reach(schemas[name], schemas, reached)
			}
		}
		for _, each := range part {
			reach(each, schemas, reached)
		}
	}
}

// asList returns the objects of a JSON list.
func asList(value any) []map[string]any {
	list, _ := value.([]any)
	all := make([]map[string]any, len(list))
	for i, each := range list {
		all[i] = each.(map[string]any)
	}
	return all
}
