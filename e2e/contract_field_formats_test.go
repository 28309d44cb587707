package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSelfParsingTypesExplainTheirFormat checks that types with their own parsers (times
// of day, weekdays, credentials) return messages for forms.
func TestSelfParsingTypesExplainTheirFormat(t *testing.T) {
	t.Parallel()
	c := open(t)
	who := "/practitioners/" +
		c.admin().post(t, "/practitioners", body{"firstName": "Bea", "lastName": "Analyst"}).created(t).String()
	words := func(a answer) map[string]string {
		found := map[string]string{}
		for _, item := range a.refused(t, http.StatusUnprocessableEntity, "validation-failed").body["errors"].([]any) {
			invalid := item.(map[string]any)
			found[invalid["field"].(string)] = invalid["message"].(string)
		}
		return found
	}
	const (
		clock   = "must be a time of day written as HH:MM, from 00:00 to 24:00"
		weekday = "must be one of MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY"
	)
	require.Equal(t,
		map[string]string{
			"weekly[0].weekday": weekday,
			"weekly[0].from":    clock,
			"weekly[1].weekday": weekday,
			"weekly[1].to":      clock,
		},
		words(c.admin().put(t, who+"/availability", body{
			"weekly":     []body{{"weekday": "MON", "from": "9:00", "to": "10:00"}, {"weekday": 1, "from": "09:00", "to": 10}},
			"exceptions": []body{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
		})))
	const credential, date = `must be a code such as "BCBA", or an object of code and expiresOn`, "must be a date written as YYYY-MM-DD"
	require.Equal(t,
		map[string]string{
			"credentials[0]": credential,
			"credentials[1]": credential,
			"credentials[2]": credential,
			"credentials[3]": date,
		},
		words(c.admin().patch(t, who,
			body{
				"credentials": []any{
					1,
					body{"code": 1},
					body{"code": "BCBA", "expires": "x"},
					body{"code": "RBT", "expiresOn": "2026-02-30"},
				},
			})))
}
