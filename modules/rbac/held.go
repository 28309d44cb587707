package rbac

import (
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// Held maps permissions to the records for which they are held. It is read-only.
type Held map[identity.Permission]identity.Scope

// Covers returns [identity.ErrBeyondOwn] unless h includes every permission of other, for at least
// the same records.
func (h Held) Covers(other Held) error {
	for _, row := range defaults { // in the order of [Permissions]
		if !h[row.permission].Covers(other[row.permission]) {
			return identity.ErrBeyondOwn.With(identity.Excess{Exceeds: row.permission},
				"This requires the permission %s, which you do not hold, or hold for fewer records.", row.permission)
		}
	}
	return nil
}

// CoversRecords returns [identity.ErrBeyondOwn] unless a caller who holds h may give access to
// records of the scopes to a user who holds the needed permissions. The caller must be allowed to read all
// patients, and must hold for the organization what the user holds for those scopes.
func (h Held) CoversRecords(needed Held, scopes identity.Scope) error {
	if err := h.Covers(Held{permission.PatientRead: identity.Organization}); err != nil {
		return err
	}
	return h.Covers(needed.gained(scopes))
}

// gained returns the permissions that a user who holds h gains with access to records of the
// scopes: those for the scopes only. They count for the whole organization, because the giver must
// hold them for any records.
func (h Held) gained(scopes identity.Scope) Held {
	gained := Held{}
	for p, scope := range h {
		if scope&scopes != 0 && !scope.Has(identity.Organization) {
			gained[p] = identity.Organization
		}
	}
	return gained
}

// Texts returns the scopes by permission, as texts.
func (h Held) Texts() map[identity.Permission]string {
	texts := make(map[identity.Permission]string, len(h))
	for p, scope := range h {
		texts[p] = scope.String()
	}
	return texts
}
