package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"omnirapeutic/platform/db"
)

const (
	// detachLock is how long an attempt to detach a partition waits for the transactions that use its table.
	// Others do not wait behind it.
	detachLock = time.Second
	// detachAttempts is the number of attempts.
	detachAttempts = 60
)

// lockNotAvailable is the SQLSTATE of a wait for a lock that took too long.
const lockNotAvailable = "55P03"

// detach detaches a partition concurrently: readers and writers of the table do not wait for it.
func (s *Service) detach(ctx context.Context, table, name string) error {
	how := "CONCURRENTLY"
	for range detachAttempts {
		err := s.database.ExecAlone(ctx, detachLock, fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s %s", table, name, how))
		if err == nil || db.SQLState(err) != lockNotAvailable {
			return err
		}
		pending, err := s.isPending(ctx, table, name)
		if err != nil {
			return err
		}
		how = "CONCURRENTLY"
		if pending {
			how = "FINALIZE"
		}
	}
	return fmt.Errorf("audit: %s is in use by a long transaction, so it was not removed from %s: end the transaction, "+
		"and repeat the command", name, table)
}

func (s *Service) isPending(ctx context.Context, table, name string) (bool, error) {
	all, err := s.partitionsOf(ctx, table)
	for _, p := range all {
		if p.Name == name {
			return p.Pending, err
		}
	}
	return false, err
}

func (s *Service) partitionsOf(ctx context.Context, table string) ([]partition, error) {
	return db.Snapshot(ctx, s.database, "audit.partitions", func(ctx context.Context) ([]partition, error) {
		return s.store.partitions(ctx, table)
	})
}

// finishRemoval does what remains after the partitions of the events were detached: it detaches the partitions of
// their seals, adds empty first partitions, and drops the detached tables. It also finishes a removal that was
// interrupted.
func (s *Service) finishRemoval(ctx context.Context) error {
	for _, table := range []string{eventsTable, sealsTable} {
		if err := s.finishDetach(ctx, table); err != nil {
			return err
		}
	}
	for {
		events, seals, err := s.detachedPair(ctx)
		if err != nil || events == "" {
			return err
		}
		if err := s.dropPair(ctx, events, seals); err != nil {
			return err
		}
	}
}

// finishDetach finishes interrupted detachments from a table, detaches the partitions of seals whose events are
// detached, and adds a first partition.
func (s *Service) finishDetach(ctx context.Context, table string) error {
	partitions, err := s.partitionsOf(ctx, table)
	if err != nil || len(partitions) == 0 {
		return err
	}
	detached := map[string]bool{}
	if table == sealsTable {
		events, err := s.detachedFrom(ctx, eventsTable)
		if err != nil {
			return err
		}
		for _, e := range events {
			detached[e.suffix(eventsTable)] = true
		}
	}
	for _, p := range partitions {
		switch {
		case p.Pending:
			err = s.database.ExecAlone(ctx, detachLock*detachAttempts,
				fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", table, p.Name))
		case detached[p.suffix(table)]:
			err = s.detach(ctx, table, p.Name)
		}
		if err != nil {
			return err
		}
	}
	_, err = db.ReadCommitted(ctx, s.database, "audit.first-partition", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.store.attachFirst(ctx, table)
	}, db.AllOrganizations())
	return err
}

func (s *Service) detachedFrom(ctx context.Context, table string) ([]partition, error) {
	return db.Snapshot(ctx, s.database, "audit.partitions", func(ctx context.Context) ([]partition, error) {
		return s.store.detached(ctx, table)
	})
}

// detachedPair returns detached partitions of events and seals of the same time; "" if there are none.
func (s *Service) detachedPair(ctx context.Context) (events, seals string, err error) {
	allEvents, err := s.detachedFrom(ctx, eventsTable)
	if err != nil {
		return "", "", err
	}
	allSeals, err := s.detachedFrom(ctx, sealsTable)
	if err != nil {
		return "", "", err
	}
	for _, e := range allEvents {
		for _, other := range allSeals {
			if e.suffix(eventsTable) == other.suffix(sealsTable) {
				return e.Name, other.Name, nil
			}
		}
	}
	if len(allEvents)+len(allSeals) > 0 {
		return "", "", errors.New("audit: the schema partitions has a table of the trail that belongs to no table: attach " +
			"it again, or drop it")
	}
	return "", "", nil
}

// dropPair drops detached partitions. Rows that no checkpoint covers were added while the partitions were being
// detached; these are put back into the trail.
func (s *Service) dropPair(ctx context.Context, events, seals string) error {
	kept, err := s.keptRows(ctx, events, seals)
	if err != nil {
		return err
	}
	return s.dropTables(ctx, events, seals, kept)
}

// keptRows returns the number of events and seals in detached partitions that no checkpoint covers.
func (s *Service) keptRows(ctx context.Context, events, seals string) (int64, error) {
	return db.Snapshot(ctx, s.database, "audit.check-partition", func(ctx context.Context) (int64, error) {
		return s.store.keptRows(ctx, events, seals)
	}, db.AllOrganizations())
}

func (s *Service) dropTables(ctx context.Context, events, seals string, kept int64) error {
	_, err := db.ReadCommitted(ctx, s.database, "audit.drop-partition", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.store.drop(ctx, events, seals, kept > 0)
	}, db.AllOrganizations())
	return err
}
