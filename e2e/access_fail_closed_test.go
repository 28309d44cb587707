package e2e

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/identity"
)

// needNoCaller are the services' methods that work without a caller in their context,
// with the reason.
var needNoCaller = map[string]string{
	"directory.OrganizationsNamed": "for operators, at the command line",
	"authorization.SweepHolds":     "internal: holds expire in all organizations",
	"authorization.Verify":         "for the given organization; the caller decides",
	"authorization.OpenLedger":     "for the given authorizations, here none",
	"appointments.Remind":          "internal, for all organizations",
	"appointments.ForgetReminders": "internal, for all organizations",
	"audit.Attempts":               "not organization-specific; the route requires the permission",
	"audit.WriteAttempts":          "of no organization",
	"audit.RemoveOldAttempts":      "of no organization",
	"events.EncryptSecrets":        "internal, for all organizations",
	"events.Deliver":               "internal, for all organizations",
	"audit.CopyHeads":              "positions and hashes, for the log and the anchors",
	"audit.CompareHeads":           "for operators, at the command line",
	"events.Publish":               "the given values, here none",
	"events.Relay":                 "internal, for all organizations",
	"events.Sweep":                 "internal, for all organizations",
	"audit.Record":                 "the given values, here none",
	"audit.Note":                   "the given values, here none",
	"audit.Replay":                 "internal, for all organizations",
	"audit.Seal":                   "internal, for all organizations",
	"audit.EnterAndSeal":           "internal, for all organizations",
	"audit.FindAlerts":             "internal, for all organizations",
	"audit.SendToSIEM":             "internal, for all organizations",
	"audit.Backlog":                "a count, for metrics",
	"audit.Archive":                "for operators, at the command line",
	"audit.Restore":                "for operators, at the command line",
	"audit.AddPartitions":          "internal, changes no rows",
	"audit.PartitionsEnd":          "a time, for metrics",
	"events.Backlog":               "counts, for metrics",
	"mail.Backlog":                 "a count, for metrics",
	"verification.Overview":        "a count and a time, for metrics",
	"audit.Verify":                 "for the given organization; the caller decides",
	"audit.Organizations":          "internal, the ids of all organizations",
	"verification.Forget":          "internal, for all organizations",
	"access.Sweep":                 "internal, for all organizations",
	"account.HasUsers":             "at startup, before any sign-in",
	"account.SignIns":              "for operators: lists accounts with the demo's public password",
	"apikey.WriteUses":             "internal, for all organizations",
	"mail.CanReach":                "no address can be reached without mail",
	"mail.Queue":                   "the given values, here none",
	"mail.QueueReminders":          "the given values, here none",
	"mail.RemoveOld":               "internal, for all organizations",
	"mail.Send":                    "internal, for all organizations",
	"mail.SendDigests":             "internal, for all organizations",
	"mfa.RefuseCode":               "the given values, here none",
	"password.CountAttempt":        "a count of the given caller, here none",
	"password.Hash":                "the given values, here none; it reveals only a new salt",
	"password.Matching":            "the given values, here none",
	"password.SendRequested":       "internal, for all organizations",
	"password.UnusableHash":        "the given values, here none; it reveals only a new salt",
	"revocation.RevokeSessions":    "the given values, here none",
	"revocation.LoadRevocations":   "internal, for all organizations",
	"session.RemoveTokens":         "internal, for all organizations",
}

// TestServicesFailClosed calls every service method that takes a context, without a
// caller and with zero arguments. It must fail, or be listed with a reason. New methods
// are included automatically.
func TestServicesFailClosed(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	services := map[string]any{
		"directory": c.App.Directory, "authorization": c.App.Authorizations, "appointments": c.App.Appointments,
		"events": c.App.Events, "audit": c.App.Audit, "mail": c.App.Mail,
		"access": c.App.Access, "account": c.App.Access.Accounts, "apikey": c.App.Access.APIKeys,
		"invitation": c.App.Access.Invitations, "mfa": c.App.Access.SecondFactors, "oidc": c.App.Access.OpenID.SignIns,
		"oidclinks": c.App.Access.OpenID.Links, "oidcproviders": c.App.Access.OpenID.Providers,
		"password": c.App.Access.Passwords, "permissionset": c.App.Access.PermissionSets,
		"revocation": c.App.Access.Revocations,
		"session":    c.App.Access.Sessions, "signin": c.App.Access.SignIns, "user": c.App.Access.Users,
		"verification": c.App.Verifications,
	}
	probed, refused := map[string]bool{}, map[string]bool{}
	for name, service := range services {
		value := reflect.ValueOf(service)
		for i := range value.NumMethod() {
			method, signature := name+"."+value.Type().Method(i).Name, value.Method(i).Type()
			if signature.NumIn() == 0 || signature.In(0) != reflect.TypeFor[context.Context]() || signature.NumOut() == 0 ||
				signature.Out(signature.NumOut()-1) != reflect.TypeFor[error]() {
				continue
			}
			probed[method] = true
			if needNoCaller[method] != "" {
				continue
			}
			t.Run(method, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), harness.Soon)
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
	require.Greater(t, unauthenticated, 50, "most of them require the caller first")
	for method := range needNoCaller {
		require.True(t, probed[method], "%s is listed but does not exist", method)
	}
}
