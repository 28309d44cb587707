package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
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
	"setClaimControlNumber": "a claim has no version: the payer has given it one number",
	"revokeInvitation":      "an invitation has no version: it can only end",
	"revokeApiKey":          "a key has no version: it can only end",
	"revokeCalendarFeed":    "a calendar link has no version: it can only end",
	"unassignPatient":       "an assignment has no version: it exists or not",
	"removeUserPatient":     "as above",
	"setMailSettings":       "two choices without history: the last one counts",
	"setMyMailPreferences":  "choices of one user: the last one counts",
	"deleteCalendarEntry":   "a calendar entry has no version: it can only be deleted",
	"clearRefusedAddress":   "a refused address has no version: it exists or not",
}

// versioned is a change of a record with a version.
type versioned struct {
	by     harness.Caller
	record string // where the record and its ETag are read
	path   string // path of the change, if it differs
	body   harness.Body
	tag    string // the ETag, if it differs from the record's; lists have none
}

// TestIfMatchHoldsForEveryChangeOfAVersionedRecord tries every PUT, PATCH and DELETE operation of
// the OpenAPI document. With another version than the record's it is refused and changes nothing;
// with the record's version it succeeds.
func TestIfMatchHoldsForEveryChangeOfAVersionedRecord(t *testing.T) {
	t.Parallel()
	c, p := harness.OpenWithProvider(t)
	changes := versionedRecords(t, c, harness.Body{"issuer": p.Issuer, "clientId": "other", "clientSecret": "other"})
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
			before := v.by.Get(t, v.record).OK(t)
			tag := cmp.Or(v.tag, before.Header.Get("ETag"))
			require.NotEmpty(t, tag)
			v.by.WithHeader("If-Match", `"999999"`).Send(t, op.method, v.path, v.body).
				Refused(t, http.StatusPreconditionFailed, "stale-version")
			require.JSONEq(t, string(before.Raw), string(v.by.Get(t, v.record).OK(t).Raw))
			v.by.WithHeader("If-Match", "").Send(t, op.method, v.path, v.body).
				Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Less(t, v.by.WithHeader("If-Match", tag).Send(t, op.method, v.path, v.body).Status, 300)
		})
	}
}

func versionedRecords(t *testing.T, c *harness.Clinic, settings harness.Body) map[string]func(t *testing.T) versioned {
	t.Helper()
	admin := c.Admin()
	create := func(path string, b harness.Body) string {
		return path + "/" + admin.Post(t, path, b).Created(t).String()
	}
	at := func(record string, change harness.Body) func(*testing.T) versioned {
		return func(*testing.T) versioned { return versioned{by: admin, record: record, body: change} }
	}
	who := create("/practitioners", harness.Body{"firstName": "Jordan", "lastName": "Lee"})
	payer := create("/payers", harness.Body{"name": "State Medicaid"})
	location := create("/locations", harness.Body{"name": "Clinic", "kind": "CLINIC"})
	reason := create("/cancellation-reasons", harness.Body{"code": "SCHOOL", "name": "School", "party": "FAMILY"})
	insurance := create("/insurances", harness.Body{
		"patientId": c.Own.Patient, "payerId": harness.IDOf(payer), "memberNumber": "M-1",
		"startsOn": "2020-01-01",
	})
	diagnosis := create("/diagnoses", harness.Body{"patientId": c.Own.Patient, "code": "F84.0", "startsOn": "2024-01-01"})
	rate := create("/rates", harness.Body{
		"payerId": harness.IDOf(payer), "serviceCodeId": c.Own.ServiceCode, "startsOn": "2024-01-01", "centsPerUnit": 1575,
	})
	webhook := create("/admin/webhooks", harness.Body{"url": "https://hooks.example.org/x"})
	authorization := c.Authorize(t, 20)
	appointment := c.Book(t, c.Booking(authorization, c.AddPractitioner(t), c.At(t, -2, "09:00"), time.Hour))
	done := admin.Post(t, appointment+"/complete", harness.Body{}).OK(t)
	session := "/sessions/" + done.Body["session"].(map[string]any)["id"].(string)
	user := c.UserWithRole(t, admin, rbac.Biller)
	organization := "/organizations/" + c.Own.ID.String()
	setOf := func(t *testing.T, role rbac.Role, change harness.Body) versioned {
		t.Helper()
		tag := fmt.Sprintf(`"%v"`, admin.PermissionSet(t, role)["version"])
		return versioned{
			by:     admin,
			record: "/permission-sets",
			path:   "/permission-sets/" + string(role),
			body:   change,
			tag:    tag,
		}
	}
	return map[string]func(t *testing.T) versioned{
		"changeOrganization": at(organization, harness.Body{"lateCancelHours": 12}),
		"changePatient":      at("/patients/"+c.Own.Patient.String(), harness.Body{"lastName": "Changed"}),
		"changePractitioner": at(who, harness.Body{"lastName": "Changed"}),
		"changePayer":        at(payer, harness.Body{"name": "Changed"}),
		"changeInsurance":    at(insurance, harness.Body{"memberNumber": "M-2"}),
		"changeDiagnosis":    at(diagnosis, harness.Body{"rank": 2}),
		"changeRate":         at(rate, harness.Body{"centsPerUnit": 1600}),
		"setBillingIdentity": at("/billing-identity", billingIdentity()),
		"changeServiceCode":  at("/service-codes/"+c.Own.ServiceCode.String(), harness.Body{"description": "changed"}),
		"changeLocation":     at(location, harness.Body{"name": "Changed"}),

		"changeCancellationReason": at(reason, harness.Body{"name": "Changed"}),

		"replaceServicePairs": at("/service-pairs", harness.Body{"pairs": []any{}}),
		"changeUser":          at(user, harness.Body{"name": "Changed"}),
		"setSignInPolicy":     at("/sign-in-policy", harness.Body{"secondFactorRequired": false}),
		"changeAuthorization": at(authorization, harness.Body{"notes": "changed"}),
		"changeAppointment":   at(appointment, harness.Body{"notes": "changed"}),
		"writeNote":           at(session+"/note", harness.Body{"narrative": "changed"}),
		"changeWebhook":       at(webhook, harness.Body{"active": false}),
		"setAvailability": at(who+"/availability", harness.Body{
			"weekly": []any{}, "exceptions": []any{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
		}),
		"deleteWebhook":       at(create("/admin/webhooks", harness.Body{"url": "https://hooks.example.org/y"}), nil),
		"deleteAuthorization": at(c.Authorize(t, 5), nil),
		"setUserRoles": func(*testing.T) versioned {
			return versioned{
				by:     admin,
				record: user,
				path:   user + "/roles",
				body:   harness.Body{"roles": []string{"BILLER", "SCHEDULER"}},
			}
		},
		"switchOrganization": func(*testing.T) versioned {
			other := "/organizations/" + c.Other.ID.String()
			return versioned{
				by:     c.As(c.Own.Tokens[rbac.SuperAdmin]),
				record: other,
				path:   other + "/disabled",
				body:   harness.Body{"disabled": true},
			}
		},
		"takeSecondFactor": func(t *testing.T) versioned {
			who := c.UserWithRole(t, admin, rbac.Technician)
			c.Enrol(t, c.As(c.Own.Tokens[rbac.Technician]))
			return versioned{by: admin, record: who, path: who + "/second-factor"}
		},
		"setIdentityProvider": func(t *testing.T) versioned {
			admin.Send(t, http.MethodPut, harness.ProviderPath, settings).OK(t)
			return versioned{by: admin, record: harness.ProviderPath, body: settings}
		},
		"removeIdentityProvider": func(t *testing.T) versioned {
			admin.Send(t, http.MethodPut, harness.ProviderPath, settings).OK(t)
			return versioned{by: admin, record: harness.ProviderPath}
		},
		"changePermissionSet": func(t *testing.T) versioned {
			return setOf(t, rbac.Biller, withoutPermission(admin.PermissionSet(t, rbac.Biller), "patient:read"))
		},
		"restorePermissionSet": func(t *testing.T) versioned { return setOf(t, rbac.Biller, nil) },
	}
}
