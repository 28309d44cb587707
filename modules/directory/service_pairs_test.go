package directory_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/identity"
)

func pairs(codes ...string) directory.ServicePairsChange {
	all := directory.ServicePairsChange{Pairs: []directory.ServicePairBody{}}
	for i := 0; i < len(codes); i += 2 {
		all.Pairs = append(all.Pairs, directory.ServicePairBody{Code: codes[i], OtherCode: codes[i+1]})
	}
	return all
}

// stored returns the pairs of a request as they are stored.
func stored(c directory.ServicePairsChange) []directory.ServicePair {
	all := []directory.ServicePair{}
	for _, p := range c.Pairs {
		all = append(all, directory.ServicePair(p))
	}
	return all
}

func TestServicePairs(t *testing.T) {
	t.Parallel()
	r := open(t)
	of := func(ctx context.Context) directory.ServicePairs {
		t.Helper()
		all, err := r.ServicePairs(ctx)
		require.NoError(t, err)
		return all
	}
	byDefault := stored(pairs("97153", "97155"))
	require.Equal(t, byDefault, of(r.own).Pairs, "a new organization has one pair")

	t.Run("they are replaced as a whole, and sorted", func(t *testing.T) {
		want := stored(pairs("0362T", "97151", "97153", "97155", "97153", "97156"))
		for range 2 {
			all, err := r.ReplaceServicePairs(r.own, pairs("97156", "97153", "97153", "97155", "97151", "0362T"))
			require.NoError(t, err)
			require.Equal(t, want, all.Pairs)
			require.Equal(t, 2, all.Version, "the second request changes nothing")
			require.Equal(t, want, of(r.own).Pairs)
		}
		require.Equal(t, byDefault, of(r.other).Pairs, "other organizations are unchanged")
	})
	t.Run("there may be none", func(t *testing.T) {
		_, err := r.ReplaceServicePairs(r.own, pairs())
		require.NoError(t, err)
		require.Equal(t, stored(pairs()), of(r.own).Pairs)
		require.Equal(t, byDefault, of(r.other).Pairs)
	})
	t.Run("invalid ones are all named, and nothing changes", func(t *testing.T) {
		_, err := r.ReplaceServicePairs(r.own, pairs("97153", "97155"))
		require.NoError(t, err)
		_, err = r.ReplaceServicePairs(r.own, pairs("97153", "97156", "0362t", "", "97151", "97151", "97156", "97153"))
		require.Equal(t, []string{"pairs[1].code", "pairs[1].otherCode", "pairs[2].otherCode", "pairs[3]"},
			wrongFields(t, err))
		require.Equal(t, byDefault, of(r.own).Pairs)
	})
	t.Run("concurrent replacements leave one request's pairs", func(t *testing.T) {
		const times = 8
		start := make(chan struct{})
		errs := make(chan error, times)
		for i := range times {
			all := pairs("97151", "97156")
			if i%2 == 0 {
				all = pairs("97153", "97155", "97153", "97157")
			}
			go func() {
				<-start
				_, err := r.ReplaceServicePairs(r.own, all)
				errs <- err
			}()
		}
		close(start)
		for range times {
			require.NoError(t, <-errs)
		}
		require.Contains(t, [][]directory.ServicePair{
			stored(pairs("97151", "97156")),
			stored(pairs("97153", "97155", "97153", "97157")),
		}, of(r.own).Pairs)
	})
	t.Run("they have no personal data", func(t *testing.T) {
		_, err := r.ServicePairs(t.Context())
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
		_, err = r.ReplaceServicePairs(t.Context(), pairs())
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
	})
}

func TestServicePairsOverHTTP(t *testing.T) {
	t.Parallel()
	r := open(t)
	call := r.serve(t)
	for body, want := range map[string]struct {
		status   int
		contains string
	}{
		`{"pairs":[{"code":"97156","otherCode":"97153"}]}`: {200, `"pairs":[{"code":"97153","otherCode":"97156"}]`},
		`{"pairs":[]}`:                 {200, `"pairs":[]`},
		`{}`:                           {422, `"field":"pairs"`},
		`{"pairs":null}`:               {422, `"field":"pairs"`},
		`{"pairs":[{"code":"97153"}]}`: {422, `"field":"pairs[0].otherCode"`},
		`{"pairs":[{"code":"97153","otherCode":"97153"}]}`:                                      {422, `"field":"pairs[0].otherCode"`},
		`{"pairs":[{"code":"97153","otherCode":"97155"},{"code":"97155","otherCode":"97153"}]}`: {422, `"field":"pairs[1]"`},
		`{"pairs":[{"code":"97153","otherCode":"97155",
			"organizationId":"` + r.ownID.String() + `"}]}`: {422, `"field":"pairs[0].organizationId"`},
	} {
		status, _, answer := call(true, "PUT", "/service-pairs", body)
		require.Equal(t, want.status, status, "%s: %v", body, answer)
		require.Contains(t, encoded(t, answer), want.contains, body)
		if status == 200 {
			_, _, read := call(true, "GET", "/service-pairs", "")
			require.JSONEq(t, encoded(t, answer), encoded(t, read))
		}
	}
}
