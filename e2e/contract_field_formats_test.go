package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestSelfParsingTypesExplainTheirFormat checks that types with their own parsers (times
// of day, weekdays, credentials) return messages for forms.
func TestSelfParsingTypesExplainTheirFormat(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	who := "/practitioners/" +
		c.Admin().Post(t, "/practitioners", harness.Body{"firstName": "Bea", "lastName": "Analyst"}).Created(t).String()
	words := func(a harness.Answer) map[string]string {
		found := map[string]string{}
		for _, item := range a.Refused(t, http.StatusUnprocessableEntity, "validation-failed").Body["errors"].([]any) {
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
		words(c.Admin().Put(t, who+"/availability", harness.Body{
			"weekly": []harness.Body{
				{"weekday": "MON", "from": "9:00", "to": "10:00"}, {"weekday": 1, "from": "09:00", "to": 10},
			},
			"exceptions": []harness.Body{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
		})))
	const credential, date = `must be a code such as "BCBA", or an object of code and expiresOn`, "must be a date written as YYYY-MM-DD"
	require.Equal(t,
		map[string]string{
			"credentials[0]": credential,
			"credentials[1]": credential,
			"credentials[2]": credential,
			"credentials[3]": date,
		},
		words(c.Admin().Patch(t, who,
			harness.Body{
				"credentials": []any{
					1,
					harness.Body{"code": 1},
					harness.Body{"code": "BCBA", "expires": "x"},
					harness.Body{"code": "RBT", "expiresOn": "2026-02-30"},
				},
			})))
}
