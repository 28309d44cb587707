// Package anchor keeps copies of the heads of audit trails outside of the database. The owner of
// the tables can recompute a chain of hashes from any position to its end. An anchored head reveals it: the
// trail no longer has the anchored hash at the anchored position.
package anchor

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Head is a line of an anchor: the position and the hash of an organization's trail at a time.
type Head struct {
	Time           time.Time `json:"time"`
	OrganizationID uuid.UUID `json:"organizationId"` // all zeros: events without an organization
	Position       int64     `json:"position"`
	Hash           string    `json:"hash"` // hexadecimal
	// MAC is HMAC-SHA256 (RFC 2104) of the other fields, in hexadecimal. The key is in the configuration of
	// the program, and not in the database.
	MAC string `json:"mac"`
}

// stamp is a line of an anchor: an RFC 3161 time stamp of the lines of heads directly before it.
type stamp struct {
	Response []byte `json:"timestamp"` // a TimeStampResp in DER, which has the time
}

// Sign returns the head with its MAC.
func (h Head) Sign(key []byte) Head {
	h.MAC = hex.EncodeToString(h.mac(key))
	return h
}

// IsSigned reports whether the MAC is that of one of the keys.
func (h Head) IsSigned(keys ...[]byte) bool {
	mac, err := hex.DecodeString(h.MAC)
	for _, key := range keys {
		if err == nil && hmac.Equal(mac, h.mac(key)) {
			return true
		}
	}
	return false
}

func (h Head) mac(key []byte) []byte {
	sum := hmac.New(sha256.New, key)
	fmt.Fprintf(sum, "omnirapeutic anchor\n%s\n%s\n%s\n%s\n", h.Time.UTC().Format(time.RFC3339Nano), h.OrganizationID,
		strconv.FormatInt(h.Position, 10), h.Hash)
	return sum.Sum(nil)
}

// lines returns heads as lines of JSON.
func lines(heads []Head) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	for _, h := range heads {
		if err := encoder.Encode(h); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// Anchors are the heads of an anchor, and the times that its time stamps prove.
type Anchors struct {
	Heads  []Head
	Stamps []Stamp
}

// Read reads the lines of an anchor, and checks the time stamps. The error names the line.
func Read(r io.Reader) (Anchors, error) {
	const longest = 1 << 20
	var all Anchors
	var stamped []byte // the lines of heads since the last time stamp
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, longest)
	for n := 1; scanner.Scan(); n++ {
		line := bytes.TrimSpace(scanner.Bytes()) // some syslog servers write a space before the text
		if len(line) == 0 {
			continue
		}
		var h Head
		var s stamp
		switch {
		case json.Unmarshal(line, &s) == nil && len(s.Response) > 0:
			proven, err := check(s.Response, stamped)
			if err != nil {
				return all, fmt.Errorf("line %d: the time stamp is not valid for the lines before it: %w", n, err)
			}
			all.Stamps, stamped = append(all.Stamps, proven), nil
		case json.Unmarshal(line, &h) != nil || h.Position <= 0 || h.Hash == "":
			return all, fmt.Errorf("line %d is not an anchored head", n)
		default:
			all.Heads, stamped = append(all.Heads, h), append(append(stamped, line...), '\n')
		}
	}
	return all, scanner.Err()
}
