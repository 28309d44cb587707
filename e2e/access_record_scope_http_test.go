package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/identity"
)

// person is a user of the API with their roles.
type person struct {
	id    uuid.UUID
	roles []rbac.Role
	harness.Caller
}

// shown is a kind of record in the API: its list and its single reads.
type shown struct {
	path, permission, absent string
	records                  map[uuid.UUID]owned
	filtered                 bool // filtered by patientId
}

// granted is the configured record scope of each role's permissions.
type granted map[rbac.Role]map[string]identity.Scope

// TestListsMatchSingleReadsOverHTTP is [TestListsMatchSingleReads] over
// HTTP, with users of several roles, whose permission sets, caseloads and children
// change while their access tokens remain valid.
func TestListsMatchSingleReadsOverHTTP(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	w := openScopeWorld(t)
	people, sets := w.people(t), w.granted(t)
	patients := map[uuid.UUID]owned{}
	for _, p := range w.patients {
		patients[p] = owned{patients: []uuid.UUID{p}}
	}
	all := []shown{
		{"/patients", "patient:read", "patient-not-found", patients, false},
		{"/authorizations", "authorization:read", "authorization-not-found", w.authorizations, true},
		{"/appointments", "appointment:read", "appointment-not-found", w.appointments, true},
	}
	rapid.Check(t, func(r *rapid.T) {
		some := func(label string) []uuid.UUID {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(w.patients), 0, len(w.patients), rapid.ID).Draw(r, label)
		}
		who := rapid.SampledFrom(people).Draw(r, "who")
		l := links{
			user:         who.id,
			practitioner: rapid.SampledFrom(append([]uuid.UUID{uuid.Nil}, w.staff...)).Draw(r, "practitioner"),
			caseload:     some("caseload"), children: some("children"),
		}
		w.put(t, l)
		item := rapid.SampledFrom(all).Draw(r, "records")
		role := rapid.SampledFrom(who.roles).Draw(r, "changed role")
		w.regrant(t, sets, role, item.permission, identity.Scope(rapid.IntRange(0, 15).Draw(r, "scope")))
		requested := rapid.SampledFrom(append([]uuid.UUID{uuid.Nil}, w.patients...)).Draw(r, "patientId")
		w.requireShown(t, r, who, item, l, sets.of(who, item.permission), requested,
			rapid.SampledFrom([]int{3, 200}).Draw(r, "limit"))
	})
}

// people hires users with one role and with two, and signs them in.
func (w *scopeWorld) people(t *testing.T) []person {
	t.Helper()
	w.users = nil
	var hired []person
	for n, roles := range [][]rbac.Role{
		{rbac.Technician},
		{rbac.Patient},
		{rbac.Practitioner},
		{rbac.Biller},
		{rbac.Technician, rbac.Patient},
		{rbac.Auditor, rbac.Patient},
	} {
		email := fmt.Sprintf("person-%d@own.test", n)
		id := uuid.MustParse(harness.IDOf(w.AddUser(t, w.Own, email, roles...)))
		hired = append(hired, person{id, roles, w.SignInByEmail(t, email)})
		w.users = append(w.users, id)
	}
	return hired
}

// granted returns the default record scopes of the roles.
func (w *scopeWorld) granted(t *testing.T) granted {
	t.Helper()
	g := granted{}
	for _, role := range rbac.Roles() {
		if role == rbac.SuperAdmin {
			continue
		}
		g[role] = map[string]identity.Scope{}
		for _, grant := range w.Admin().PermissionSet(t, role)["permissions"].([]any) {
			permission := grant.(map[string]any)["permission"].(string)
			for _, name := range grant.(map[string]any)["scopes"].([]any) {
				scope, err := identity.ParseScope(name.(string))
				require.NoError(t, err)
				g[role][permission] |= scope
			}
		}
	}
	return g
}

// of returns the record scope in which a user holds the permission by all roles.
func (g granted) of(who person, permission string) identity.Scope {
	var scope identity.Scope
	for _, role := range who.roles {
		scope |= g[role][permission]
	}
	return scope
}

// regrant changes the record scope in which a role holds a permission, among the possible
// ones.
func (w *scopeWorld) regrant(t *testing.T, g granted, role rbac.Role, permission string, scope identity.Scope) {
	t.Helper()
	if permission != "appointment:read" { // patients and authorizations have no delivering practitioner
		scope &^= identity.Self
	}
	g[role][permission] = scope
	grants := []harness.Body{}
	for _, p := range slices.Sorted(maps.Keys(g[role])) {
		if g[role][p] != 0 {
			grants = append(grants, harness.Body{"permission": p, "scopes": g[role][p].Names()})
		}
	}
	w.Admin().Put(t, "/permission-sets/"+string(role), harness.Body{"permissions": grants}).OK(t)
}

// requireShown compares the list, page by page, and each record with the model.
func (w *scopeWorld) requireShown(t *testing.T, r *rapid.T, who person, item shown, l links, scope identity.Scope,
	requested uuid.UUID, limit int,
) {
	t.Helper()
	query := fmt.Sprintf("%s?limit=%d", item.path, limit)
	if item.filtered && requested != uuid.Nil {
		query += "&patientId=" + requested.String()
	}
	if scope == 0 {
		who.Get(t, query).Refused(t, http.StatusForbidden, "forbidden")
		for id := range item.records {
			who.Get(t, item.path+"/"+id.String()).Refused(t, http.StatusForbidden, "forbidden")
		}
		return
	}
	var modelled []string
	for id, whose := range item.records {
		sees := l.sees(scope, whose)
		if a := who.Get(t, item.path+"/"+id.String()); sees {
			require.Equal(r, http.StatusOK, a.Status, "%s", a.Raw)
		} else {
			a.Refused(t, http.StatusNotFound, item.absent)
		}
		if sees && (!item.filtered || requested == uuid.Nil || slices.Contains(whose.patients, requested)) {
			modelled = append(modelled, id.String())
		}
	}
	require.ElementsMatch(r, modelled, walk(t, who.Caller, query), "the list of %s", item.path)
}

// walk returns the ids of a list, page by page.
func walk(t *testing.T, c harness.Caller, query string) []string {
	t.Helper()
	var ids []string
	for next := ""; ; {
		a := c.Get(t, query+next).OK(t)
		for _, item := range a.Body["data"].([]any) {
			ids = append(ids, item.(map[string]any)["id"].(string))
		}
		if a.Body["nextCursor"] == nil {
			return ids
		}
		next = "&cursor=" + strings.ReplaceAll(a.Text("nextCursor"), "+", "%2B")
	}
}
