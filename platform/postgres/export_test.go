package postgres

import (
	"context"
	"path/filepath"

	"github.com/sirupsen/logrus"
)

// AlsoLookIn has the servers of this test process find fetched binaries in a folder
// that all of them share.
func AlsoLookIn(fetched string) {
	usualPlaces += ":" + filepath.Join(fetched, "*", "bin")
}

// FetchWhereNoneAreFound fetches binaries into the folder where the machine has none.
func FetchWhereNoneAreFound(ctx context.Context, fetched string) error {
	_, err := newFinder().findOrFetch(ctx, "", 0, func(ctx context.Context) error {
		_, err := NewFetcher(fetched, logrus.StandardLogger()).Fetch(ctx)
		return err
	})
	return err
}
