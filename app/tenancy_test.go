package app_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reachesAll are the places whose transactions row level security lets see every
// organization, with how many there are in a file, and why.
var reachesAll = map[string]struct {
	count int
	why   string
}{
	"app/demo/demo.go":                  {1, "the demo's two practices are made in one transaction"},
	"app/operator.go":                   {1, "an operator makes an organization, and its first user, where nobody can be signed in yet"},
	"modules/appointments/feeds.go":     {1, "whoever comes with a calendar's link is nobody: its token says whose calendar it is"},
	"modules/appointments/reminders.go": {1, "reminders are due in all organizations"},
	"modules/audit/remove.go":           {1, "an operator's retention is about all trails; each is removed from by itself"},
	"modules/audit/sealer.go":           {3, "one sealer serves all chains; what waits, and the heads, are told of all"},
	"modules/audit/verify.go":           {1, "an operator verifies all trails; each is read by itself"},
	"modules/authorization/expiry.go":   {1, "holds expire, and an operator verifies, in all organizations; for a caller it is the caller's"},
	"modules/events/deliver.go":         {1, "which webhooks have something due; each is served by itself"},
	"modules/events/encryption.go":      {1, "secrets from before are encrypted in all organizations at the start"},
	"modules/events/relay.go":           {2, "one relay moves the events of all organizations, and tells how far their streams are"},
	"modules/events/retention.go":       {1, "which streams begin with old events; each is removed from by itself"},
	"modules/rbac/apikey_use.go":        {2, "whose an API key is, its hash tells; when keys were last used is written for all at once"},
	"modules/rbac/follow.go":            {2, "whose tokens were revoked must be known, and is forgotten, of all organizations"},
	"modules/rbac/accept.go":            {1, "whoever accepts an invitation has its token and no organization yet"},
	"modules/rbac/password_reset.go":    {2, "a reset link has a token and no organization; an operator names an address"},
	"modules/rbac/refresh.go":           {1, "whose a refresh token is, its hash tells"},
	"modules/rbac/signin.go":            {1, "at sign-in there is an address and no organization yet"},
	"modules/rbac/users.go":             {2, "whether there is anybody at all, and whether the demo's addresses can sign in"},
}

// TestWhatReachesAllOrganizations keeps those few, and each with a reason.
func TestWhatReachesAllOrganizations(t *testing.T) {
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
	require.Equal(t, listed, found, "a transaction that reaches all organizations is listed in reachesAll, with the reason; db.Admit names single ones")
}
