package user_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/modules/rbac/user"
)

func TestCreateUser(t *testing.T) {
	t.Parallel()
	d := open(t)

	t.Run("it is the first one", func(t *testing.T) {
		any, err := d.Accounts.HasUsers(t.Context())
		require.NoError(t, err)
		require.False(t, any)
		u := d.AddUser(t, " Ada@Example.test ", rbac.Biller, rbac.Admin)
		require.Equal(t, "ada@example.test", u.Email)
		require.Equal(t, []rbac.Role{rbac.Admin, rbac.Biller}, u.Roles)
		any, err = d.Accounts.HasUsers(t.Context())
		require.NoError(t, err)
		require.True(t, any)
	})
	t.Run("its address is unique within the organization", func(t *testing.T) {
		n := user.NewUser{Email: "ADA@example.test", Name: "Another", Password: rbactest.Password, Roles: []rbac.Role{rbac.Biller}}
		_, err := d.Users.Create(t.Context(), d.Organization, n)
		require.ErrorIs(t, err, rbac.ErrEmailTaken)
		elsewhere, err := d.Users.Create(t.Context(), d.AddOrganization(t), n)
		require.NoError(t, err)
		require.Equal(t, "ada@example.test", elsewhere.Email)
	})
	t.Run("its organization must exist", func(t *testing.T) {
		_, err := d.Users.Create(t.Context(), rbactest.NewID(),
			user.NewUser{Email: "bo@example.test", Name: "Bo", Password: rbactest.Password, Roles: []rbac.Role{rbac.Biller}})
		require.Equal(t, []string{"organizationId"}, rbactest.InvalidFields(t, err))
	})
	t.Run("it reports every invalid field", func(t *testing.T) {
		_, err := d.Users.Create(t.Context(), d.Organization, user.NewUser{
			Email: "nobody", Name: "\n", Password: "short", Roles: []rbac.Role{"OWNER", rbac.Admin, rbac.Admin},
		})
		require.Equal(t, []string{"email", "name", "roles[0]", "roles[2]", "password"}, rbactest.InvalidFields(t, err))
		_, err = d.Users.Create(t.Context(), d.Organization, user.NewUser{Email: "cy@example.test", Name: "Cy", Password: rbactest.Password})
		require.Equal(t, []string{"roles"}, rbactest.InvalidFields(t, err))
	})
	t.Run("its address must be deliverable", func(t *testing.T) {
		for _, email := range []string{
			"", "a@b", "a@@b.test", "a b@c.test", "a@b.test\r\nBcc: x@y.test", "ü@b.test",
			"\u212aim@b.test", "adm\u0130n@b.test", "a@b\u212a.test", "\u00a0a@b.test", "a@b.test\n", strings.Repeat("a", 250) + "@b.test",
		} {
			_, err := d.Users.Create(t.Context(), d.Organization,
				user.NewUser{Email: email, Name: "Cy", Password: rbactest.Password, Roles: []rbac.Role{rbac.Biller}})
			require.Equal(t, []string{"email"}, rbactest.InvalidFields(t, err), email)
		}
	})
	t.Run("its password is stored as a hash", func(t *testing.T) {
		require.NotContains(t, d.Log.String(), rbactest.Password)
		var hashes []string
		require.NoError(t, d.Read(t, &hashes, "SELECT password_hash FROM users"))
		require.NotEmpty(t, hashes)
		for _, hash := range hashes {
			require.True(t, strings.HasPrefix(hash, "$argon2id$"), hash)
			require.NotContains(t, hash, rbactest.Password)
		}
	})
}
