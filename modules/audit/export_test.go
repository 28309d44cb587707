package audit

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// LimitSpool makes a service's spool small, for tests that fill it.
func LimitSpool(s *Service, bytes int64) { s.diskQueue.limit = bytes }

// Walk returns the sequence numbers of all events of a search, in pages.
func Walk(ctx context.Context, t *testing.T, s *Service, f Filter, size int) []int64 {
	t.Helper()
	var walked []int64
	for after := (*cursor)(nil); ; {
		page, err := s.Search(ctx, f, after, size)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			walked = append(walked, e.Event.Sequence)
			at := e.cursor()
			after = &at
		}
		if len(page) < size {
			return walked
		}
	}
}

// PlanOfSearch returns the plan of the first page of a search, in the transaction of the context.
func PlanOfSearch(ctx context.Context, f Filter, limit int) (string, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return "", err
	}
	statement, values := newSearch(organization, f, nil, true, limit).statement()
	return plan(ctx, statement, values)
}

// PlanOfLists returns the plan by which a verification reads lists, in the transaction of the context.
func PlanOfLists(ctx context.Context, organization uuid.UUID) (string, error) {
	return plan(ctx, selectLists, organization, db.UUIDs([]uuid.UUID{uuid.New()}))
}

func plan(ctx context.Context, statement string, values ...any) (string, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return "", err
	}
	var lines []string
	err = tx.Raw("EXPLAIN "+statement, values...).Scan(&lines).Error
	return strings.Join(lines, "\n"), err
}
