package audit_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// archived is an audit trail with three months of two organizations, and an archive of the first two months.
type archived struct {
	*office
	starts      []time.Time
	first, next uuid.UUID
	records     []trail.Subject // of a read in the first month
	content     []byte
}

func openArchived(t *testing.T) archived {
	t.Helper()
	a := archived{office: open(t), starts: months(4), first: uuid.New(), next: uuid.New(), records: things(3)}
	a.split(t, a.starts...)
	a.now = inMonth(a.starts[3])
	a.record(t, read(a.first, inMonth(a.starts[0]), a.records...))
	a.recordAt(t, a.first, inMonth(a.starts[0]), inMonth(a.starts[1]), inMonth(a.starts[2]))
	a.recordAt(t, a.next, inMonth(a.starts[1]), inMonth(a.starts[2]))
	a.content = a.archive(t, audit.ArchivePeriod{Before: a.starts[2]})
	return a
}

func (o *office) archive(t *testing.T, period audit.ArchivePeriod) []byte {
	t.Helper()
	var b bytes.Buffer
	written, err := o.Archive(t.Context(), period, &b)
	require.NoError(t, err)
	verified, err := audit.VerifyArchive(bytes.NewReader(b.Bytes()))
	require.NoError(t, err)
	require.Equal(t, written, verified)
	return b.Bytes()
}

// entries returns what the search finds in the first trail.
func (a archived) entries(t *testing.T, f audit.Filter) []audit.Entry {
	t.Helper()
	found, err := a.Search(identity.With(t.Context(), identity.Caller{OrganizationID: a.first}), f, nil, 100)
	require.NoError(t, err)
	return found
}

func opened(content []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
}

func (a archived) remove(t *testing.T, before time.Time, archive []byte) ([]audit.Checkpoint, error) {
	t.Helper()
	return a.asOwner(t).Remove(t.Context(), audit.Removal{Before: before, By: "operator", Archive: opened(archive)})
}

func TestArchivedEventsAreRemovedAndFoundAgain(t *testing.T) {
	t.Parallel()
	a := openArchived(t)
	m, err := audit.VerifyArchive(bytes.NewReader(a.content))
	require.NoError(t, err)
	require.EqualValues(t, 4, m.Events)
	require.Len(t, m.Trails, 2)
	before := a.entries(t, audit.Filter{To: a.starts[2]})
	require.Len(t, before, 3)
	require.NotNil(t, before[2].Records)

	owner := a.asOwner(t)
	_, err = owner.Restore(t.Context(), opened(a.content))
	require.ErrorIs(t, err, audit.ErrNotRemoved)
	made, err := a.remove(t, a.starts[2], a.content)
	require.NoError(t, err)
	require.Len(t, made, 2)
	require.Empty(t, a.entries(t, audit.Filter{To: a.starts[2]}))
	for _, table := range []string{"audit_lists", "audit_list_records"} { // as a later removal does
		a.tamper(t, `ALTER TABLE `+table+` DISABLE TRIGGER USER`, `DELETE FROM `+table)
	}

	for range 2 { // the second time changes nothing
		restored, err := owner.Restore(t.Context(), opened(a.content))
		require.NoError(t, err)
		require.Equal(t, m, restored)
	}
	require.Equal(t, before, a.entries(t, audit.Filter{To: a.starts[2]}), "with their positions, hashes and lists")
	require.Len(t, a.find(t, a.first, audit.Filter{PatientID: a.records[0].PatientID}), 1)
	require.Len(t, a.find(t, a.first, audit.Filter{SubjectID: a.records[0].ID}), 1)
	r := a.verify(t, uuid.Nil)
	require.True(t, r.OK, "%v", r.Problems)
	for _, statement := range []string{
		"UPDATE audit_restored_events SET address = ''", "DELETE FROM audit_restored_events",
		"INSERT INTO audit_restored_events SELECT * FROM audit_restored_events",
	} {
		require.Equal(t, "42501", stateOf(t, a.program, statement), statement)
	}
}

func TestAChangedArchiveIsRefused(t *testing.T) {
	t.Parallel()
	a := openArchived(t)
	_, err := a.remove(t, a.starts[2], a.content)
	require.NoError(t, err)
	text := string(a.content)
	lines := strings.SplitAfter(text, "\n")
	for name, changed := range map[string]string{
		"a changed value":       strings.Replace(text, `"address":"2001:db8::1"`, `"address":"2001:db8::2"`, 1),
		"a changed position":    strings.Replace(text, `"position":2`, `"position":3`, 1),
		"a removed line":        strings.Join(append(append([]string{}, lines[:3]...), lines[4:]...), ""),
		"a repeated line":       strings.Join(append(append([]string{}, lines[:3]...), lines[2:]...), ""),
		"no manifest":           strings.Join(lines[:len(lines)-2], ""),
		"text after the end":    text + lines[1],
		"a changed list":        strings.Replace(text, `"size":`, `"size":1`, 1),
		"another format":        strings.Replace(text, "audit archive 1", "audit archive 2", 1),
		"an unknown member":     strings.Replace(text, `"position":2`, `"position":2,"more":1`, 1),
		"a changed header":      strings.Replace(text, `"schemaVersion":1`, `"schemaVersion":2`, 1),
		"not an archive at all": "{}\n",
		"an empty file":         "",
	} {
		require.NotEqual(t, text, changed, name)
		_, err := audit.VerifyArchive(strings.NewReader(changed))
		require.ErrorIs(t, err, audit.ErrArchive, name)
		_, err = a.asOwner(t).Restore(t.Context(), opened([]byte(changed)))
		require.ErrorIs(t, err, audit.ErrArchive, name)
	}
	require.Zero(t, a.count(t, `SELECT count(*) FROM audit_restored_events`))

	// Another trail of the same organization, whose archive is valid in itself.
	other := open(t)
	other.split(t, a.starts...)
	other.recordAt(t, a.first, inMonth(a.starts[0]), inMonth(a.starts[0]), inMonth(a.starts[1]), inMonth(a.starts[2]))
	invented := other.archive(t, audit.ArchivePeriod{Before: a.starts[2]})
	_, err = a.asOwner(t).Restore(t.Context(), opened(invented))
	require.ErrorIs(t, err, audit.ErrArchive)
	require.ErrorContains(t, err, "another hash than its checkpoint")
}

func TestARemovalCanRequireAnArchive(t *testing.T) {
	t.Parallel()
	a := openArchived(t)
	_, err := a.remove(t, a.starts[3], a.content)
	require.ErrorIs(t, err, audit.ErrNotArchived, "it lacks the third month")
	_, err = a.remove(t, a.starts[2], a.archive(t, audit.ArchivePeriod{From: a.starts[1], Before: a.starts[3]}))
	require.ErrorIs(t, err, audit.ErrNotArchived, "it lacks the first month")
	_, err = a.remove(t, a.starts[2], bytes.Replace(a.content, []byte(`units\":2.5`), []byte(`units\":2.6`), 1))
	require.ErrorIs(t, err, audit.ErrArchive)
	require.Zero(t, a.count(t, `SELECT count(*) FROM audit_checkpoints`))

	made, err := a.remove(t, a.starts[2], a.content)
	require.NoError(t, err)
	require.Len(t, made, 2)
	_, err = a.remove(t, a.starts[3], a.content)
	require.ErrorIs(t, err, audit.ErrNotArchived)
	made, err = a.remove(t, a.starts[3], a.archive(t, audit.ArchivePeriod{Before: a.starts[3]}))
	require.NoError(t, err, "the second archive begins at the checkpoint")
	require.Len(t, made, 2)
}

func TestADamagedTrailIsNotArchived(t *testing.T) {
	t.Parallel()
	a := openArchived(t)
	a.tamper(t, `UPDATE audit_events SET address = '' WHERE sequence = 2`)
	_, err := a.Archive(t.Context(), audit.ArchivePeriod{Before: a.starts[2]}, io.Discard)
	require.ErrorIs(t, err, audit.ErrDamaged)
	full := errors.New("the disk is full")
	_, err = a.Archive(t.Context(), audit.ArchivePeriod{Before: a.starts[2]}, failing{full})
	require.ErrorIs(t, err, full)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
