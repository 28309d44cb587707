package lease_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/lease"
)

func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	broken := errors.New("the database does not answer")
	for name, test := range map[string]struct {
		held  bool
		err   error
		ends  error
		after time.Duration
	}{
		"with the context":                    {true, nil, nil, time.Hour},
		"when another instance has it":        {false, nil, lease.ErrLost, 10 * time.Second},
		"when it cannot be renewed any more":  {false, broken, broken, 40 * time.Second},
		"not at the first failure of renewal": {true, broken, broken, 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), time.Hour)
				defer stop()
				began := time.Now()
				err := lease.Lease{
					Duration: 30 * time.Second,
					Every:    10 * time.Second,
					Renew:    func(context.Context) (bool, error) { return test.held, test.err },
				}.Keep(ctx)
				require.ErrorIs(t, err, test.ends)
				require.Equal(t, test.after, time.Since(began))
			})
		})
	}
}
