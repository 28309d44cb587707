package audit_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/audit/anchor"
	"omnirapeutic/platform/telemetry/logtest"
)

// anchored is an office that keeps the heads of its trails in a file.
type anchored struct {
	*office
	file string
}

func openAnchored(t *testing.T) *anchored {
	t.Helper()
	o := &anchored{open(t), filepath.Join(t.TempDir(), "heads.jsonl")}
	o.Service = o.withKeys([]byte("a key"))
	return o
}

// withKeys returns the service with other keys of MACs.
func (o *anchored) withKeys(keys ...[]byte) *audit.Service {
	return audit.New(audit.Dependencies{
		Database: o.database, Clock: func() time.Time { return o.now }, Logger: logtest.Logger(),
		Anchors: audit.Anchors{Keys: keys, Destinations: []anchor.Destination{anchor.Destination("file://" + o.file)}},
	})
}

func (o *anchored) copyHeads(t *testing.T) {
	t.Helper()
	_, err := o.CopyHeads(t.Context())
	require.NoError(t, err)
}

func (o *anchored) heads(t *testing.T) []anchor.Head {
	t.Helper()
	file, err := os.Open(o.file)
	require.NoError(t, err)
	defer file.Close()
	anchors, err := anchor.Read(file)
	require.NoError(t, err)
	return anchors.Heads
}

func (o *anchored) compare(t *testing.T, s *audit.Service) audit.Findings {
	t.Helper()
	found, err := s.CompareHeads(t.Context(), o.heads(t))
	require.NoError(t, err)
	return found
}

// rewrite changes an event and recomputes the chain, as an owner of the tables can.
func (o *anchored) rewrite(t *testing.T, organization uuid.UUID, event string) {
	t.Helper()
	o.tamper(t,
		`ALTER TABLE audit_seals DISABLE TRIGGER USER`, event,
		`DELETE FROM audit_seals`,
		`UPDATE audit_chains SET last_position = 0, last_hash = NULL`,
		`INSERT INTO audit_unsealed (organization_id, sequence, sequences, times)
			SELECT organization_id, min(sequence), array_agg(sequence), array_agg(occurred_at) FROM audit_events
			GROUP BY organization_id`,
		`ALTER TABLE audit_seals ENABLE TRIGGER USER`)
	o.seal(t)
	require.True(t, o.verify(t, organization).OK, "the chain of the rewritten trail is valid")
}

func TestAnchoredHeadsRevealARewrittenTrail(t *testing.T) {
	t.Parallel()
	o := openAnchored(t)
	organization, other := uuid.New(), uuid.New()
	o.record(t, event(organization), event(organization))
	o.record(t, event(other))
	o.seal(t)
	o.copyHeads(t)
	o.record(t, event(organization))
	o.seal(t)
	o.copyHeads(t)

	found := o.compare(t, o.Service)
	require.True(t, found.OK, "%v", found.Problems)
	require.Equal(t, 4, found.Events, "the heads of two trails, at two times")

	o.rewrite(t, organization, `UPDATE audit_events SET actor_id = gen_random_uuid() WHERE sequence = 2`)
	found = o.compare(t, o.Service)
	require.False(t, found.OK)
	require.Len(t, found.Problems, 2, "both heads of the rewritten trail")
	for i, position := range []int64{2, 3} {
		require.Equal(t, "anchor", found.Problems[i].Check)
		require.Equal(t, organization, found.Problems[i].OrganizationID)
		require.Equal(t, position, found.Problems[i].Position)
		require.Contains(t, found.Problems[i].Expected, "as anchored on "+o.now.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
}

func TestAnchoredHeadsRevealATrailThatWasCutOff(t *testing.T) {
	t.Parallel()
	o := openAnchored(t)
	organization := uuid.New()
	o.record(t, event(organization), event(organization))
	o.seal(t)
	o.copyHeads(t)
	o.rewrite(t, organization, `DELETE FROM audit_events WHERE sequence = 2`)
	found := o.compare(t, o.Service)
	require.Len(t, found.Problems, 1)
	require.Equal(t, "no event", found.Problems[0].Found)
}

func TestAnchoredHeadsNeedAMACOfTheProgram(t *testing.T) {
	t.Parallel()
	o := openAnchored(t)
	o.record(t, event(uuid.New()))
	o.seal(t)
	o.copyHeads(t)
	require.True(t, o.compare(t, o.withKeys([]byte("a new key"), []byte("a key"))).OK, "the key is a former one")
	found := o.compare(t, o.withKeys([]byte("a new key")))
	require.Len(t, found.Problems, 1)
	require.Equal(t, "mac", found.Problems[0].Check)

	forged := o.heads(t)
	forged[0].Time = forged[0].Time.Add(-time.Hour)
	found, err := o.CompareHeads(t.Context(), forged)
	require.NoError(t, err)
	require.Len(t, found.Problems, 1, "the MAC covers the time")
}

func TestAnchoredHeadsOfRemovedEventsAreNotCompared(t *testing.T) {
	t.Parallel()
	o := openAnchored(t)
	organization := uuid.New()
	o.record(t, event(organization))
	o.seal(t)
	o.copyHeads(t)
	o.record(t, event(organization))
	o.seal(t)
	o.copyHeads(t)
	o.tamper(t,
		`INSERT INTO audit_checkpoints (organization_id, position, hash, removed, removed_by, removed_at)
			SELECT organization_id, position, hash, 2, 'a test', now() FROM audit_seals WHERE position = 2`,
		`ALTER TABLE audit_seals DISABLE TRIGGER USER`, `DELETE FROM audit_seals`, `DELETE FROM audit_events`)
	found := o.compare(t, o.Service)
	require.True(t, found.OK, "%v", found.Problems)
	require.Equal(t, 1, found.Events, "the checkpoint has the hash of its position")
	require.EqualValues(t, 1, found.Removed)
}
