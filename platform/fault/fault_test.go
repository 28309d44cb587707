package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/fault"
)

type missing struct {
	Missing int `json:"missing"`
}

var (
	errEmpty = fault.Define(fault.Conflict, "shelf-empty", "The shelf is empty.")
	errOther = fault.Define(fault.NotFound, "shelf-not-found", "There is no such shelf.")
)

func TestFault(t *testing.T) {
	t.Parallel()
	t.Run("it matches with details, with a cause, and wrapped", func(t *testing.T) {
		t.Parallel()
		err := fmt.Errorf("booking: %w", errEmpty.With(missing{3}, "%d are missing.", 3).Because(io.EOF))
		require.ErrorIs(t, err, errEmpty)
		require.ErrorIs(t, err, io.EOF)
		require.NotErrorIs(t, err, errOther)
		found, ok := fault.From(err)
		require.True(t, ok)
		require.Equal(t, "3 are missing.", found.Error(), "the cause is not part of the text")
		require.Equal(t, missing{3}, found.Details())
		require.Equal(t, fault.Conflict, found.Kind())
		require.Equal(t, "The shelf is empty.", found.Title())
	})
	t.Run("it does not change the definition", func(t *testing.T) {
		t.Parallel()
		_ = errEmpty.With(missing{1}, "changed").Because(io.EOF)
		require.Nil(t, errEmpty.Details())
		require.EqualError(t, errEmpty, "The shelf is empty.")
		require.NoError(t, errors.Unwrap(errEmpty))
	})
	t.Run("it is not found in an ordinary error", func(t *testing.T) {
		t.Parallel()
		_, ok := fault.From(io.EOF)
		require.False(t, ok)
	})
	t.Run("it lists defined errors by code, each once", func(t *testing.T) {
		t.Parallel()
		all := fault.All()
		for i := 1; i < len(all); i++ {
			require.Less(t, all[i-1].Code(), all[i].Code())
		}
		byCode, ok := fault.ByCode("shelf-empty")
		require.True(t, ok)
		require.Same(t, errEmpty, byCode)
		require.Panics(t, func() { _ = fault.Define(fault.Conflict, "shelf-empty", "again") })
	})
	t.Run("it names a single invalid field in its text", func(t *testing.T) {
		t.Parallel()
		err := fault.InvalidFields(fault.Field{Field: "units", Code: "range", Message: "must be between 1 and 10"})
		require.EqualError(t, err, "units must be between 1 and 10.")
		require.ErrorIs(t, err, fault.ErrInvalid)
	})
}
