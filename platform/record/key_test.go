package record_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/record"
)

func TestKeysAreOrderedByOrganizationFirst(t *testing.T) {
	t.Parallel()
	low, high := uuid.UUID{1}, uuid.UUID{2}
	keys := []record.Key{{high, low}, {low, high}, {high, high}, {low, low}}
	slices.SortFunc(keys, record.Key.Compare)
	require.Equal(t, []record.Key{{low, low}, {low, high}, {high, low}, {high, high}}, keys)
}
