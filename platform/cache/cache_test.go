package cache_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/cache"
)

// get returns the organization's value; if it is not cached, it is this one.
func get(t *testing.T, o *cache.PerOrganization[int], organization uuid.UUID, at time.Time, value int) int {
	t.Helper()
	found, err := o.Get(organization, at, func() (int, error) { return value, nil })
	require.NoError(t, err)
	return found
}

func TestCachedValues(t *testing.T) {
	t.Parallel()
	var o cache.PerOrganization[int]
	id, other, now := uuid.New(), uuid.New(), time.Now()
	require.Equal(t, 1, get(t, &o, id, now, 1))
	require.Equal(t, 1, get(t, &o, id, now.Add(cache.Lifetime-1), 2))
	require.Equal(t, 3, get(t, &o, other, now, 3), "each organization has its own")
	require.Equal(t, 4, get(t, &o, id, now.Add(cache.Lifetime), 4), "not for ever")

	failed := errors.New("no database")
	_, err := o.Get(id, now.Add(2*cache.Lifetime), func() (int, error) { return 0, failed })
	require.Equal(t, failed, err)
	require.Equal(t, 5, get(t, &o, id, now.Add(2*cache.Lifetime), 5), "a failure is not cached")
}

func TestValuesReadBeforeAChangeAreNotCached(t *testing.T) {
	t.Parallel()
	var o cache.PerOrganization[int]
	id, now := uuid.New(), time.Now()
	found, err := o.Get(id, now, func() (int, error) { // a reader starts …
		o.Invalidate(id) // … and a writer changes the value
		return 1, nil
	})
	require.NoError(t, err)
	require.Equal(t, 1, found)
	require.Equal(t, 2, get(t, &o, id, now, 2), "… and the value read is outdated")
	require.Equal(t, 2, get(t, &o, id, now, 3))
}
