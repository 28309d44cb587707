package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// withoutVersion lists the changes without If-Match, and the reasons.
var withoutVersion = map[string]string{
	"changeMyPassword":      "the password has no version: the current password is required instead",
	"beginMySecondFactor":   "the second factor has no version: password and code are required instead",
	"confirmMySecondFactor": "as above",
	"renewMyRecoveryCodes":  "as above",
	"turnMySecondFactorOff": "as above",
	"endMySession":          "a sign-in has no version: it can only end",
	"endUserSession":        "as above",
	"declineLinkRequest":    "a request has no version: it can only be decided",
	"unlinkUser":            "a link has no version: it exists or not",
	"revokeInvitation":      "an invitation has no version: it can only end",
	"revokeApiKey":          "a key has no version: it can only end",
	"revokeCalendarFeed":    "a calendar link has no version: it can only end",
	"unassignPatient":       "an assignment has no version: it exists or not",
	"removeUserPatient":     "as above",
}

// versioned is a change of a record with a version.
type versioned struct {
	by     caller
	record string // where the record and its ETag are read
	path   string // path of the change, if it differs
	body   body
	tag    string // the ETag, if it differs from the record's; lists have none
}

// TestIfMatchHoldsForEveryChangeOfAVersionedRecord tries every PUT, PATCH and DELETE operation of
// the OpenAPI document. With another version than the record's it is refused and changes nothing;
// with the record's version it succeeds.
func TestIfMatchHoldsForEveryChangeOfAVersionedRecord(t *testing.T) {
	t.Parallel()
	c, p := openWithProvider(t)
	changes := c.versionedRecords(t, body{"issuer": p.Issuer, "clientId": "other", "clientSecret": "other"})
	operations, _ := readOperations(t)
	for _, op := range operations {
		if !slices.Contains([]string{http.MethodPut, http.MethodPatch, http.MethodDelete}, op.method) {
			continue
		}
		takes := slices.ContainsFunc(op.parameters, func(p parameter) bool { return p.name == "If-Match" })
		if reason, excepted := withoutVersion[op.name]; excepted {
			require.False(t, takes, "%s accepts If-Match, so it is not an exception: %s", op.name, reason)
			continue
		}
		require.True(t, takes, "%s must accept If-Match, or be an exception with a reason", op.name)
		t.Run(op.name, func(t *testing.T) {
			make, ok := changes[op.name]
			require.True(t, ok, "a new change needs a record here")
			v := make(t)
			if v.path == "" {
				v.path = v.record
			}
			before := v.by.get(t, v.record).ok(t)
			tag := cmp.Or(v.tag, before.header.Get("ETag"))
			require.NotEmpty(t, tag)
			v.by.with("If-Match", `"999999"`).send(t, op.method, v.path, v.body).
				refused(t, http.StatusPreconditionFailed, "stale-version")
			require.JSONEq(t, string(before.raw), string(v.by.get(t, v.record).ok(t).raw))
			v.by.with("If-Match", "").send(t, op.method, v.path, v.body).
				refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Less(t, v.by.with("If-Match", tag).send(t, op.method, v.path, v.body).status, 300)
		})
	}
}

func (c *clinic) versionedRecords(t *testing.T, settings body) map[string]func(t *testing.T) versioned {
	t.Helper()
	admin := c.admin()
	create := func(path string, b body) string { return path + "/" + admin.post(t, path, b).created(t).String() }
	at := func(record string, change body) func(*testing.T) versioned {
		return func(*testing.T) versioned { return versioned{by: admin, record: record, body: change} }
	}
	who := create("/practitioners", body{"firstName": "Jordan", "lastName": "Lee"})
	payer := create("/payers", body{"name": "State Medicaid"})
	insurance := create("/insurances", body{
		"patientId": c.own.patient, "payerId": idOf(payer), "memberNumber": "M-1",
		"startsOn": "2020-01-01",
	})
	webhook := create("/admin/webhooks", body{"url": "https://hooks.example.org/x"})
	authorization := c.authorize(t, 20)
	appointment := c.book(t, c.booking(authorization, c.employ(t), c.hour(t, -2, "09:00"), hour))
	done := admin.post(t, appointment+"/complete", body{}).ok(t)
	session := "/sessions/" + done.body["session"].(map[string]any)["id"].(string)
	user := c.userWith(t, admin, rbac.Biller)
	organization := "/organizations/" + c.own.id.String()
	setOf := func(t *testing.T, role rbac.Role, change body) versioned {
		t.Helper()
		tag := fmt.Sprintf(`"%v"`, admin.set(t, role)["version"])
		return versioned{
			by:     admin,
			record: "/permission-sets",
			path:   "/permission-sets/" + string(role),
			body:   change,
			tag:    tag,
		}
	}
	return map[string]func(t *testing.T) versioned{
		"changeOrganization":  at(organization, body{"lateCancelHours": 12}),
		"changePatient":       at("/patients/"+c.own.patient.String(), body{"lastName": "Changed"}),
		"changePractitioner":  at(who, body{"lastName": "Changed"}),
		"changePayer":         at(payer, body{"name": "Changed"}),
		"changeInsurance":     at(insurance, body{"memberNumber": "M-2"}),
		"changeServiceCode":   at("/service-codes/"+c.own.serviceCode.String(), body{"description": "changed"}),
		"replaceServicePairs": at("/service-pairs", body{"pairs": []any{}}),
		"changeUser":          at(user, body{"name": "Changed"}),
		"setSignInPolicy":     at("/sign-in-policy", body{"secondFactorRequired": false}),
		"changeAuthorization": at(authorization, body{"notes": "changed"}),
		"changeAppointment":   at(appointment, body{"notes": "changed"}),
		"changeSession":       at(session, body{"narrative": "changed"}),
		"changeWebhook":       at(webhook, body{"active": false}),
		"setAvailability": at(who+"/availability", body{
			"weekly": []any{}, "exceptions": []any{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
		}),
		"deleteWebhook":       at(create("/admin/webhooks", body{"url": "https://hooks.example.org/y"}), nil),
		"deleteAuthorization": at(c.authorize(t, 5), nil),
		"setUserRoles": func(*testing.T) versioned {
			return versioned{
				by:     admin,
				record: user,
				path:   user + "/roles",
				body:   body{"roles": []string{"BILLER", "SCHEDULER"}},
			}
		},
		"switchOrganization": func(*testing.T) versioned {
			other := "/organizations/" + c.other.id.String()
			return versioned{
				by:     c.as(c.own.tokens[rbac.SuperAdmin]),
				record: other,
				path:   other + "/disabled",
				body:   body{"disabled": true},
			}
		},
		"takeSecondFactor": func(t *testing.T) versioned {
			who := c.userWith(t, admin, rbac.Technician)
			c.enrol(t, c.as(c.own.tokens[rbac.Technician]))
			return versioned{by: admin, record: who, path: who + "/second-factor"}
		},
		"setIdentityProvider": func(t *testing.T) versioned {
			admin.send(t, http.MethodPut, provider, settings).ok(t)
			return versioned{by: admin, record: provider, body: settings}
		},
		"removeIdentityProvider": func(t *testing.T) versioned {
			admin.send(t, http.MethodPut, provider, settings).ok(t)
			return versioned{by: admin, record: provider}
		},
		"changePermissionSet": func(t *testing.T) versioned {
			return setOf(t, rbac.Biller, without(admin.set(t, rbac.Biller), "patient:read"))
		},
		"restorePermissionSet": func(t *testing.T) versioned { return setOf(t, rbac.Biller, nil) },
	}
}
