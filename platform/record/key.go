// Package record identifies the records of organizations.
package record

import (
	"bytes"

	"github.com/google/uuid"
)

// Key identifies a record within an organization.
type Key struct{ OrganizationID, ID uuid.UUID }

// Of returns the key of a record.
func Of(organization, id uuid.UUID) Key { return Key{organization, id} }

// Compare orders keys by organization, and then by id. Transactions that change several records lock
// them in this order, so they cannot deadlock.
func (k Key) Compare(other Key) int {
	if c := bytes.Compare(k.OrganizationID[:], other.OrganizationID[:]); c != 0 {
		return c
	}
	return bytes.Compare(k.ID[:], other.ID[:])
}
