package postgres

import (
	"context"
	"path/filepath"

	"github.com/sirupsen/logrus"
)

// AlsoLookIn makes the servers of this test process find downloaded binaries in a shared folder.
func AlsoLookIn(fetched string) {
	usualPlaces += ":" + filepath.Join(fetched, "*", "bin")
}

// FetchWhereNoneAreFound downloads binaries into the folder if the machine has none.
func FetchWhereNoneAreFound(ctx context.Context, fetched string) error {
	_, err := newFinder().findOrFetch(ctx, "", 0, func(ctx context.Context) error {
		_, err := NewFetcher(fetched, logrus.StandardLogger()).Fetch(ctx)
		return err
	})
	return err
}
