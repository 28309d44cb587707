package db

import (
	"context"
	"fmt"
)

// RoleError is returned if the program's database role could bypass row level security.
type RoleError struct {
	Role string
	// Unbound reports that no policy applies to the role. Otherwise policies apply, but
	// the role could remove them or switch to a role to which they do not apply.
	Unbound bool
	Why     string
}

func (e *RoleError) Error() string {
	return fmt.Sprintf("the database role %s could bypass row level security: %s; "+
		"name a role that owns nothing, without SUPERUSER and BYPASSRLS, in OMNI_DATABASE_URL, and the owner in "+
		"OMNI_MIGRATE_URL", e.Role, e.Why)
}

// CheckRole checks that row level security applies to the role with which the program
// signs in. It ignores a later SET ROLE, which could be reset. It returns a
// *[RoleError] if it does not apply.
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
		return newUnavailableError("check the role", err)
	case super:
		e.Unbound, e.Why = true, "it is a superuser"
	case bypass:
		e.Unbound, e.Why = true, "it has BYPASSRLS"
	case other != nil:
		e.Why = "it is a member of " + *other + ", to which no policy applies"
	case owner:
		e.Why = "it owns the tables, or is a member of their owner, and could remove the policies"
	default:
		return nil
	}
	return &e
}
