package directory

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestZonesDoNotRememberWhatWasReadBeforeAChange(t *testing.T) {
	t.Parallel()
	var z zones
	id, now := uuid.New(), time.Now()
	_, edition := z.recall(id, now) // somebody reads …
	z.forget(id)                    // … somebody else changes …
	z.remember(id, time.UTC, now.Add(time.Minute), edition)
	found, edition := z.recall(id, now)
	require.Nil(t, found, "… and what was read is out of date")

	z.remember(id, time.UTC, now.Add(time.Minute), edition)
	found, _ = z.recall(id, now)
	require.Equal(t, time.UTC, found)
}
