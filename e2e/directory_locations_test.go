package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

func TestLocationHasTheUsualPlaceOfServiceOfItsKind(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for kind, code := range map[string]string{"HOME": "12", "CLINIC": "11", "SCHOOL": "03", "TELEHEALTH": "10"} {
		id := c.Admin().Post(t, "/locations", harness.Body{"name": kind, "kind": kind}).Created(t)
		l := c.Admin().Get(t, "/locations/"+id.String()).OK(t)
		require.Equal(t, code, l.Text("placeOfService"))
		require.Nil(t, l.Body["timeZone"])
		require.Nil(t, l.Body["address"])
		require.Equal(t, true, l.Body["active"])
	}
	require.Equal(t, []string{"SCHOOL"}, harness.Column(c.Admin().All(t, "/locations?kind=SCHOOL", nil), "kind"))
	require.Equal(t, []string{"CLINIC", "HOME", "SCHOOL", "TELEHEALTH"},
		harness.Column(c.Admin().All(t, "/locations?sort=name", nil), "name"))
}

func TestLocationIsChanged(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := "/locations/" + c.Admin().Post(t, "/locations", harness.Body{
		"name": "West Clinic", "kind": "CLINIC", "placeOfService": "49", "timeZone": "America/Los_Angeles",
		"address": harness.Body{
			"line1": "1 Pier Ave", "city": "Los Angeles", "state": "CA", "zip": "90001-1234",
		},
		"coordinates": harness.Body{"latitude": 33.97, "longitude": -118.25},
	}).Created(t).String()
	changed := c.Admin().Patch(t, path, harness.Body{"coordinates": nil, "active": false}).OK(t)
	require.Nil(t, changed.Body["coordinates"])
	require.Equal(t, "900011234", changed.Body["address"].(map[string]any)["zip"])
	require.Equal(t, "49", changed.Text("placeOfService"))
	require.Equal(t, false, changed.Body["active"])
	changed = c.Admin().Patch(t, path, harness.Body{"timeZone": nil, "address": nil}).OK(t)
	require.Nil(t, changed.Body["timeZone"])
	require.Nil(t, changed.Body["address"])
	require.Equal(t, 3, changed.Number(t, "version"))
}

func TestInvalidLocationsAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for field, value := range map[string]any{
		"placeOfService": "98", "timeZone": "America/Nowhere", "kind": "PARK", "name": "",
		"coordinates": harness.Body{"latitude": 91, "longitude": 0},
		"address":     harness.Body{"line1": "1 Pier Ave", "city": "Los Angeles", "state": "CA", "zip": "9000"},
	} {
		b := harness.Body{"name": "Clinic", "kind": "CLINIC"}
		b[field] = value
		refused := c.Admin().Post(t, "/locations", b).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Contains(t, refused.Body["errors"].([]any)[0].(map[string]any)["field"], field)
	}
}

func TestLocationsByRole(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	b := harness.Body{"name": "Clinic", "kind": "CLINIC"}
	path := "/locations/" + c.As(c.Own.Tokens[rbac.Scheduler]).Post(t, "/locations", b).Created(t).String()
	for _, role := range []rbac.Role{rbac.Practitioner, rbac.Technician, rbac.Biller, rbac.Auditor} {
		user := c.As(c.Own.Tokens[role])
		user.Get(t, path).OK(t)
		user.Get(t, "/places-of-service").OK(t)
		user.Post(t, "/locations", b).Refused(t, http.StatusForbidden, "forbidden")
		user.Patch(t, path, b).Refused(t, http.StatusForbidden, "forbidden")
	}
	c.As(c.Own.Tokens[rbac.Patient]).Get(t, path).Refused(t, http.StatusForbidden, "forbidden")
	c.As(c.Other.Tokens[rbac.Admin]).Get(t, path).Refused(t, http.StatusNotFound, "location-not-found")
}

func TestPlacesOfServiceDependOnTheDay(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	codes := func(query string) map[string]any {
		found := map[string]any{}
		for _, each := range c.Admin().Get(t, "/places-of-service"+query).OK(t).Body["placesOfService"].([]any) {
			p := each.(map[string]any)
			found[p["code"].(string)] = p["startsOn"]
		}
		return found
	}
	today := codes("")
	require.Len(t, today, 52)
	require.Equal(t, "2022-01-01", today["10"])
	require.Contains(t, today, "12")
	require.Nil(t, today["12"], "CMS gives no first day")
	require.NotContains(t, codes("?on=2021-12-31"), "10")
	require.Contains(t, codes("?on=2022-01-01"), "10")
	require.NotContains(t, codes("?on=2024-07-31"), "66")
}
