package patch_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/patch"
)

func TestMergePatch(t *testing.T) {
	t.Parallel()
	type document struct {
		Units patch.Field[int]        `json:"units"`
		Notes patch.Clearable[string] `json:"notes"`
	}
	read := func(t *testing.T, text string) (document, error) {
		t.Helper()
		var d document
		return d, json.Unmarshal([]byte(text), &d)
	}
	units, notes := 5, new("old")
	apply := func(d document) (int, *string) {
		u, n := units, notes
		d.Units.Apply(&u)
		d.Notes.Apply(&n)
		return u, n
	}

	t.Run("it leaves an absent field alone", func(t *testing.T) {
		t.Parallel()
		d, err := read(t, `{}`)
		require.NoError(t, err)
		u, n := apply(d)
		require.Equal(t, 5, u)
		require.Equal(t, "old", *n)
		require.Nil(t, d.Units.Checked())
		require.Nil(t, d.Notes.Checked())
	})
	t.Run("it sets a given value, including zero", func(t *testing.T) {
		t.Parallel()
		d, err := read(t, `{"units": 0, "notes": ""}`)
		require.NoError(t, err)
		u, n := apply(d)
		require.Zero(t, u)
		require.Empty(t, *n)
		require.Equal(t, 0, d.Units.Checked())
		require.Empty(t, d.Notes.Checked())
	})
	t.Run("it clears a clearable field with null", func(t *testing.T) {
		t.Parallel()
		d, err := read(t, `{"notes": null}`)
		require.NoError(t, err)
		_, n := apply(d)
		require.Nil(t, n)
		require.Nil(t, d.Notes.Checked())
	})
	t.Run("it refuses null for a required value", func(t *testing.T) {
		t.Parallel()
		_, err := read(t, `{"units": null}`)
		require.ErrorIs(t, err, patch.ErrNull)
	})
}

// record is the target of patches in FuzzMerge.
type record struct {
	Name  string   `json:"name"`
	Units int      `json:"units"`
	Notes *string  `json:"notes,omitempty"`
	Tags  []string `json:"tags"`
}

// FuzzMerge applies patches to a record, and the same texts to plain maps by RFC 7396.
// Both must have the same result, applied once or twice.
func FuzzMerge(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"name":"b"}`, `{"units":0,"notes":null}`, `{"notes":"","tags":[]}`, `{"tags":["x"],"name":""}`,
		`{"name":null}`,
		`{"units":1.5}`, `{"tags":null}`,
	} {
		f.Add("a", 5, true, "old", seed)
	}
	f.Fuzz(func(t *testing.T, name string, units int, hasNotes bool, notes, text string) {
		var p struct {
			Name  patch.Field[string]     `json:"name"`
			Units patch.Field[int]        `json:"units"`
			Notes patch.Clearable[string] `json:"notes"`
			Tags  patch.Field[[]string]   `json:"tags"`
		}
		var members map[string]any
		if json.Unmarshal([]byte(text), &p) != nil || json.Unmarshal([]byte(text), &members) != nil ||
			!isPlain(members, text) {
			t.Skip() // refused, or a leniency of encoding/json
		}
		before := record{Name: name, Units: units, Tags: []string{"old"}}
		if hasNotes {
			before.Notes = &notes
		}
		apply := func(r record) record {
			p.Name.Apply(&r.Name)
			p.Units.Apply(&r.Units)
			p.Notes.Apply(&r.Notes)
			p.Tags.Apply(&r.Tags)
			return r
		}
		once := apply(before)
		require.Equal(t, once, apply(once))
		require.Equal(t, merged(plain(t, before), members), plain(t, once))
	})
}

// isPlain reports whether the text has only known members, each once and in exact case.
func isPlain(members map[string]any, text string) bool {
	for member := range members {
		if !slices.Contains([]string{"name", "units", "notes", "tags"}, member) || strings.Count(text, member) != 1 {
			return false
		}
	}
	return !strings.Contains(text, `\u`)
}

func plain(t *testing.T, r record) map[string]any {
	t.Helper()
	text, err := json.Marshal(r)
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(text, &members))
	return members
}

// merged is MergePatch of RFC 7396, for an object without nested objects.
func merged(target, patch map[string]any) map[string]any {
	for name, value := range patch {
		if value == nil {
			delete(target, name)
		} else {
			target[name] = value
		}
	}
	return target
}
