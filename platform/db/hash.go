package db

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
)

// Hash is a SHA-256 sum, stored in a column of type bytea: a link of a hash chain, or the hash of a
// secret.
type Hash [sha256.Size]byte

// String returns the hash in hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads hexadecimal digits.
func ParseHash(digits string) (Hash, error) {
	var h Hash
	b, err := hex.DecodeString(digits)
	if err == nil {
		err = h.Scan(b)
	}
	return h, err
}

// Value writes the hash to a column of type bytea.
func (h Hash) Value() (driver.Value, error) { return h[:], nil }

// Scan reads the hash from a column of type bytea. It returns an error for another type
// or length.
func (h *Hash) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(h) {
		return fmt.Errorf("db: cannot read a hash from %T of length %d", src, len(b))
	}
	copy(h[:], b)
	return nil
}
