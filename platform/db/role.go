package db

import (
	"context"
	"fmt"
)

// RoleError says that the role which the program connects as could pass row level
// security.
type RoleError struct {
	Role string
	// Unbound says that no policy binds the role. Otherwise they do, and the role
	// could take them away, or become one that they do not bind.
	Unbound bool
	Why     string
}

func (e *RoleError) Error() string {
	return fmt.Sprintf("the database role %s could pass row level security: %s; "+
		"name a role that owns nothing, without SUPERUSER and BYPASSRLS, in OMNI_DATABASE_URL, and the owner in OMNI_MIGRATE_URL", e.Role, e.Why)
}

// CheckRole asks whether row level security holds the role that the program connects
// as. It is about the role that has signed in: another one that it has taken on can
// be put down again. The error is a *[RoleError] where it does not hold.
func (d *DB) CheckRole(ctx context.Context) error {
	var e RoleError
	var super, bypass, owner bool
	var other *string
	err := d.pool.QueryRow(ctx, `
		SELECT me.rolname, me.rolsuper, me.rolbypassrls,
			EXISTS (SELECT FROM pg_class c WHERE c.relrowsecurity AND pg_has_role(me.oid, c.relowner, 'MEMBER')),
			(SELECT min(r.rolname) FROM pg_roles r WHERE (r.rolsuper OR r.rolbypassrls) AND pg_has_role(me.oid, r.oid, 'MEMBER'))
		FROM pg_roles me WHERE me.rolname = session_user`).Scan(&e.Role, &super, &bypass, &owner, &other)
	switch {
	case err != nil:
		return unavailable("check the role", err)
	case super:
		e.Unbound, e.Why = true, "it is a superuser"
	case bypass:
		e.Unbound, e.Why = true, "it has BYPASSRLS"
	case other != nil:
		e.Why = "it is a member of " + *other + ", which no policy binds"
	case owner:
		e.Why = "it owns the tables, or is a member of their owner, and could take the policies away"
	default:
		return nil
	}
	return &e
}
