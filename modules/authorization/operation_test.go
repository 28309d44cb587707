package authorization

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/calendar"
)

// TestFingerprintStays checks the format of fingerprints. They are stored, so the same operation
// must have the same one in every version of the program. This is the SHA-256 of
//
// reserve|0198f0de-0000-7000-8000-00000000000a|4|0||2026-03-02|3600000000000||"a \"b\"
// é"|true|"why"
func TestFingerprintStays(t *testing.T) {
	t.Parallel()
	op := Operation{
		Kind: Reserve, AuthorizationID: uuid.MustParse("0198f0de-0000-7000-8000-00000000000a"), Units: 4,
		ServiceDate: calendar.NewDate(2026, time.March, 2), HoldFor: time.Hour, Reference: new("a \"b\" é"), KeepRest: true,
		Reason: new("why"),
		ID:     uuid.New(), NewID: uuid.New(), ActorID: uuid.New(), RequestID: "r", // not part of the fingerprint
	}
	require.Equal(t, "75552b774790c40b3b0f339d9802bd5122c205db2a00f128c3a553a1cafd12b8",
		hex.EncodeToString(op.fingerprint()))
}
