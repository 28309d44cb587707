package app_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reachesAll lists the files with transactions that may access every organization, with
// their number and the reason.
var reachesAll = map[string]struct {
	count int
	why   string
}{
	"app/demo/demo.go": {1, "one transaction creates the demo's two practices"},
	"app/operator.go": {
		1,
		"an operator creates an organization and its first user, so there is no caller yet",
	},
	"modules/appointments/service_feeds.go":      {1, "a calendar link has no caller: its token identifies the calendar"},
	"modules/appointments/service_reminders.go":  {1, "reminders are due in all organizations"},
	"modules/audit/service_remove.go":            {2, "an operator's retention applies to all trails"},
	"modules/audit/service_archive.go":           {2, "an archive has the events of all organizations"},
	"modules/audit/service_remove_partitions.go": {3, "a partition has events of all organizations"},
	"modules/audit/service_anchor.go":            {2, "the heads of all trails are kept elsewhere, and compared by an operator"},
	"modules/audit/service_seal.go":              {2, "one sealer serves all chains, and reports the backlog of all"},
	"modules/audit/service_siem.go":              {1, "it finds the trails with events that a receiver does not have"},
	"modules/audit/service_verify.go":            {1, "an operator verifies all trails, one at a time"},
	"modules/authorization/service_expiry.go": {
		1,
		"holds expire, and an operator verifies, in all organizations; a caller only in their own",
	},
	"modules/events/service_deliver.go": {1, "it finds webhooks with due deliveries, and serves each separately"},
	"modules/events/service_backlog.go": {1, "it counts what waits in all organizations"},
	"modules/events/encryption.go":      {1, "it re-encrypts the secrets of all webhooks with the present key"},
	"modules/events/service_relay.go": {
		2,
		"one relay moves the events of all organizations, and reports the positions of their streams",
	},
	"modules/events/service_retention.go":      {1, "it finds streams with old events, and removes from each separately"},
	"modules/mailing/service_backlog.go":       {1, "it counts the waiting mail of all organizations, for metrics"},
	"modules/mailing/service_send.go":          {1, "it claims due mail of all organizations, and stores the results separately"},
	"modules/verification/service_overview.go": {1, "it counts verified organizations"},
	"modules/mailing/service_wanted.go":        {1, "digests are due in all organizations; each is sent separately"},
	"modules/rbac/account/service_users.go": {
		2,
		"whether any user exists, and whether the demo's addresses can sign in",
	},
	"modules/rbac/apikey/service_authenticate.go": {
		2,
		"a hash identifies an API key's organization; one statement writes the last uses of all keys",
	},
	"modules/rbac/invitation/service_accept.go": {
		1,
		"an invitation is accepted with its token, before there is a caller",
	},
	"modules/rbac/password/service_request.go": {1, "a request for a reset has an address and no organization"},
	"modules/rbac/password/service_reset.go": {
		2,
		"a reset link has a token and no organization; an operator names an address",
	},
	"modules/rbac/rbactest/rbactest.go":          {3, "tests read and change rows of any organization"},
	"modules/rbac/revocation/revocation_sync.go": {1, "it loads the revocations of all organizations"},
	"modules/rbac/session/service_refresh.go":    {1, "a hash identifies a refresh token's organization"},
	"modules/rbac/session/service_sessions.go":   {1, "it removes refresh tokens of all organizations"},
	"modules/rbac/signin/service_signin.go":      {1, "a sign-in has an address and no organization yet"},
}

// TestTransactionsOfAllOrganizations allows only these files, each with a reason.
func TestTransactionsOfAllOrganizations(t *testing.T) {
	t.Parallel()
	found := map[string]int{}
	for file, source := range sources(t) {
		if n := strings.Count(source, "AllOrganizations()"); n > 0 && !under("platform/db")(file) {
			found[file] = n
		}
	}
	listed := map[string]int{}
	for file, place := range reachesAll {
		listed[file] = place.count
	}
	require.Equal(t, listed, found, "a transaction that reaches all organizations is listed in reachesAll, with the "+
		"reason; db.Admit names single ones")
}
