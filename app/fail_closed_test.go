package app_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/identity"
)

// needNoCaller are the services' methods that do something, or nothing, without a
// caller in their context, with the reason.
var needNoCaller = map[string]string{
	"directory.OrganizationsNamed":   "for operators, at the command line",
	"authorization.SweepHolds":       "the program's own: holds expire in all organizations",
	"authorization.ForgetOperations": "the program's own, in all organizations",
	"authorization.Verify":           "of the organization that it is given; the caller decides",
	"authorization.OpenLedger":       "of the authorizations that it is given, here none",
	"appointments.ForgetOperations":  "the program's own, in all organizations",
	"appointments.Remind":            "the program's own, in all organizations",
	"appointments.ForgetReminders":   "the program's own, in all organizations",
	"audit.Attempts":                 "of no organization; the route asks for the permission",
	"audit.KeepAttempts":             "of no organization",
	"audit.ForgetAttempts":           "of no organization",
	"events.SealSecrets":             "the program's own, in all organizations",
	"audit.LogHeads":                 "positions and hashes, for the log",
	"events.Publish":                 "what it is given, here nothing",
	"events.Relay":                   "the program's own, in all organizations",
	"events.Sweep":                   "the program's own, in all organizations",
	"audit.Record":                   "what it is given, here nothing",
	"audit.Note":                     "what it is given, here nothing",
	"audit.Replay":                   "the program's own, in all organizations",
	"audit.Seal":                     "the program's own, in all organizations",
	"audit.Backlog":                  "a count, for metrics",
	"audit.Verify":                   "of the organization that it is given; the caller decides",
	"verification.Forget":            "the program's own, in all organizations",
	"rbac.HasUsers":                  "at the start, when nobody can be signed in yet",
	"rbac.Learn":                     "the program's own, of all organizations",
	"rbac.Sweep":                     "the program's own, in all organizations",
	"rbac.KeepKeyUses":               "the program's own, in all organizations",
	"rbac.SignIns":                   "for operators: which accounts the demo's published password opens",
}

// TestServicesFailClosed calls every method of every service that takes a context,
// without a caller in it and with nothing asked for: it fails, or is listed with a
// reason. A method that somebody adds is in it.
func TestServicesFailClosed(t *testing.T) {
	t.Parallel()
	c := open(t)
	services := map[string]any{
		"directory": c.app.Directory, "authorization": c.app.Authorizations, "appointments": c.app.Appointments,
		"events": c.app.Events, "audit": c.app.Audit, "rbac": c.app.Access,
		"verification": c.app.Verifications,
	}
	asked, refused := map[string]bool{}, map[string]bool{}
	for name, service := range services {
		value := reflect.ValueOf(service)
		for i := range value.NumMethod() {
			method, signature := name+"."+value.Type().Method(i).Name, value.Method(i).Type()
			if signature.NumIn() == 0 || signature.In(0) != reflect.TypeFor[context.Context]() || signature.NumOut() == 0 ||
				signature.Out(signature.NumOut()-1) != reflect.TypeFor[error]() {
				continue
			}
			asked[method] = true
			if needNoCaller[method] != "" {
				continue
			}
			t.Run(method, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), soon)
				defer cancel()
				arguments := []reflect.Value{reflect.ValueOf(ctx)}
				for i := 1; i < signature.NumIn(); i++ {
					arguments = append(arguments, reflect.Zero(signature.In(i)))
				}
				call := value.Method(i).Call
				if signature.IsVariadic() {
					call = value.Method(i).CallSlice
				}
				results := call(arguments)
				err, _ := results[len(results)-1].Interface().(error)
				require.Error(t, err)
				refused[method] = errors.Is(err, identity.ErrUnauthenticated)
			})
		}
	}
	unauthenticated := 0
	for _, it := range refused {
		if it {
			unauthenticated++
		}
	}
	require.Greater(t, unauthenticated, 50, "most of them ask for the caller before anything else")
	for method := range needNoCaller {
		require.True(t, asked[method], "%s is listed and not there", method)
	}
}
