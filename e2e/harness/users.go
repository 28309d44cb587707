package harness

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/identity"
)

// Password is the password of the users whom the harness creates.
const Password = "correct-horse-battery"

// OtherPassword is another password that the rules allow.
const OtherPassword = "a-meadow-of-red-clover"

// AddUser creates a user of a practice with the [Password], and returns the path.
func (c *Clinic) AddUser(t testing.TB, p Practice, email string, roles ...rbac.Role) string {
	t.Helper()
	return "/users/" + c.AddUserWithPassword(t, p, email, Password, roles...).String()
}

// AddUserWithPassword creates a user of a practice with a password, and returns the id.
func (c *Clinic) AddUserWithPassword(t testing.TB, p Practice, email, password string, roles ...rbac.Role) uuid.UUID {
	t.Helper()
	u, err := c.App.Access.Users.Create(identity.With(t.Context(), identity.System(p.ID)), p.ID, user.NewUser{
		Email: email, Name: "Sam Example", Password: password, Roles: roles,
	})
	require.NoError(t, err)
	return u.ID
}

// UserWithRole returns the path of the practice's user who has the role.
func (c *Clinic) UserWithRole(t testing.TB, as Caller, role rbac.Role) string {
	t.Helper()
	found := as.Get(t, "/users?role="+string(role)).OK(t).Body["data"].([]any)
	require.Len(t, found, 1)
	return "/users/" + found[0].(map[string]any)["id"].(string)
}

// Login signs in with the address to the organization; with uuid.Nil, without an organization.
func (c *Clinic) Login(t testing.TB, email, password string, organization uuid.UUID) Answer {
	t.Helper()
	b := Body{"email": email, "password": password}
	if organization != uuid.Nil {
		b["organizationId"] = organization
	}
	return c.As("").Post(t, "/auth/login", b)
}

// SignInByEmail signs a user in by email address, and returns the caller.
func (c *Clinic) SignInByEmail(t testing.TB, email string) Caller {
	t.Helper()
	return c.As(c.SignInTokens(t, email).Access)
}

// Tokens holds the credentials of a signed-in user.
type Tokens struct{ Access, Refresh string }

// SignInTokens signs a user in by email address, and returns the tokens.
func (c *Clinic) SignInTokens(t testing.TB, email string) Tokens {
	t.Helper()
	a := c.As("").Post(t, "/auth/login", Body{"email": email, "password": Password}).OK(t)
	return Tokens{Access: a.Text("accessToken"), Refresh: a.Text("refreshToken")}
}

// Refresh exchanges a refresh token.
func (c *Clinic) Refresh(t testing.TB, token string) Answer {
	t.Helper()
	return c.As("").Post(t, "/auth/refresh", Body{"refreshToken": token})
}

// Invite creates an invitation and returns its path and its token.
func (c Caller) Invite(t testing.TB, email string, roles ...string) (path, token string) {
	t.Helper()
	a := c.Post(t, "/users/invitations", Body{"email": email, "name": "Rosa New", "roles": roles})
	return "/users/invitations/" + a.Created(t).String(), a.Text("token")
}

// AcceptInvitation accepts an invitation, with changes of the request's body.
func (c *Clinic) AcceptInvitation(t testing.TB, token string, changes ...Body) Answer {
	t.Helper()
	b := Body{"token": token, "password": Password}
	for _, change := range changes {
		for k, v := range change {
			b[k] = v
		}
	}
	return c.As("").Post(t, "/auth/invitations/accept", b)
}

// AddAPIKey creates an API key with permissions, and returns its path and its text.
func (c *Clinic) AddAPIKey(t testing.TB, permissions ...string) (path, text string) {
	t.Helper()
	a := c.Admin().Post(t, "/api-keys", Body{"name": "Billing system", "permissions": permissions})
	a.Created(t)
	path = strings.TrimPrefix(a.Header.Get("Location"), "/api/v1")
	require.Equal(t, "/api-keys/"+a.Text("id"), path)
	return path, a.Text("key")
}

// PermissionSet returns the permission set of a role in the API.
func (c Caller) PermissionSet(t testing.TB, role rbac.Role) map[string]any {
	t.Helper()
	for _, item := range c.Get(t, "/permission-sets").OK(t).Body["data"].([]any) {
		if set := item.(map[string]any); set["role"] == string(role) {
			return set
		}
	}
	require.Fail(t, "an unknown role", "%s", role)
	return nil
}

// FollowRevocations lets the instance receive revocations of others until the test
// ends, as the command serve does.
func (c *Clinic) FollowRevocations(t testing.TB) *Clinic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(t, c.App.Access.Revocations.LoadRevocations(ctx))
	var running sync.WaitGroup
	running.Go(func() { c.App.Access.Revocations.Listen(ctx) })
	running.Go(func() { c.App.RunJobs(ctx, "load-revocations") })
	t.Cleanup(func() { cancel(); running.Wait() })
	return c
}
