package db_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
)

func TestLanes(t *testing.T) {
	t.Parallel()
	t.Run("it admits one at a time, in order of arrival", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var lanes db.Lanes[string]
			var order []int
			leave, err := lanes.Enter(t.Context(), "a")
			require.NoError(t, err)
			for i := range 5 {
				go func() {
					leave, err := lanes.Enter(t.Context(), "a")
					if err != nil {
						t.Error(err)
						return
					}
					order = append(order, i) // no lock: the lane excludes others
					leave()
				}()
				synctest.Wait()
			}
			require.Empty(t, order)
			leave()
			synctest.Wait()
			require.Equal(t, []int{0, 1, 2, 3, 4}, order)
		})
	})
	t.Run("different keys do not wait for each other", func(t *testing.T) {
		t.Parallel()
		var lanes db.Lanes[string]
		for _, key := range []string{"a", "b"} {
			_, err := lanes.Enter(t.Context(), key)
			require.NoError(t, err)
		}
	})
	t.Run("it gives up with its context, and the next one is served", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var lanes db.Lanes[string]
			leave, err := lanes.Enter(t.Context(), "a")
			require.NoError(t, err)
			impatient, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			served := false
			go func() {
				leave, err := lanes.Enter(t.Context(), "a")
				if err == nil {
					served = true
					leave()
				}
			}()
			_, err = lanes.Enter(impatient, "a")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			leave()
			synctest.Wait()
			require.True(t, served)
		})
	})
}
