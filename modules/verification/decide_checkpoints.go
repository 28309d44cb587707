package verification

import (
	"crypto/sha256"
	"fmt"
	"strconv"

	"github.com/google/uuid"
)

// genesis is the hash before the first checkpoint.
func genesis(organization uuid.UUID) Hash {
	return sha256.Sum256(fmt.Appendf(nil, "omnirapeutic verification checkpoints\n%s\n", organization))
}

// hashOf returns the SHA-256 of the hash before and the checkpoint's fields, one per line.
func (c Checkpoint) hashOf(previous Hash) Hash {
	return sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%s\n%d\n%d\n%d\n%s\n", previous, c.OrganizationID, c.Number, c.Mode,
		c.VerifiedAt.UnixMicro(), c.EntriesBefore.UnixMicro(), c.AuditPosition, c.AuditHash))
}

// next returns the checkpoint after the last one, which is the zero value if there is none.
func next(last, c Checkpoint) Checkpoint {
	previous := last.Hash
	if last.Number == 0 {
		previous = genesis(c.OrganizationID)
	}
	c.Number = last.Number + 1
	c.Hash = c.hashOf(previous)
	return c
}

// damageOf returns the first checkpoint that does not follow from the one before it, or nil.
func damageOf(organization uuid.UUID, checkpoints []Checkpoint) *Damage {
	previous := genesis(organization)
	for i, c := range checkpoints {
		if expected := int64(i + 1); c.Number != expected {
			return &Damage{c.Number, "number " + strconv.FormatInt(expected, 10), "number " + strconv.FormatInt(c.Number, 10)}
		}
		if expected := c.hashOf(previous); expected != c.Hash {
			return &Damage{c.Number, expected.String(), c.Hash.String()}
		}
		previous = c.Hash
	}
	return nil
}
