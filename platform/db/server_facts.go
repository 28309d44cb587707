package db

import (
	"context"
	"time"
)

// ServerFacts are facts about the database server, for metrics. A nil value is unknown: the server does not
// have it, or the program's role may not read it.
type ServerFacts struct {
	ReadOnly      bool  // a standby, or transactions are read-only by default
	SchemaVersion int64 // the last migration
	Standbys      *int  // that stream from this server
	// ReplicationLag is the largest lag of a standby, or of this server if it is a standby.
	ReplicationLag *time.Duration
	// WALArchivedAt is the time of the last successful archiving of the write-ahead log.
	WALArchivedAt *time.Time
	// WALArchiveFailures is the number of failed attempts to archive it.
	WALArchiveFailures *int64
	Backup             BackupFacts
}

// replicationFacts reads the lag and the archive. A role without pg_monitor sees the standbys without their
// lag. Source: PostgreSQL manual, "Monitoring Database Activity".
const replicationFacts = `
	SELECT s.standbys, extract(epoch FROM CASE WHEN pg_is_in_recovery()
			THEN now() - pg_last_xact_replay_timestamp() ELSE s.lag END)::float8,
		a.last_archived_time, CASE WHEN current_setting('archive_mode') <> 'off' THEN a.failed_count END
	FROM (SELECT count(*) AS standbys, max(replay_lag) AS lag FROM pg_stat_replication) s CROSS JOIN pg_stat_archiver a`

// ServerFacts reads the facts in three short queries, on one connection after the other.
func (d *DB) ServerFacts(ctx context.Context) (ServerFacts, error) {
	var f ServerFacts
	err := d.pool.QueryRow(ctx, `SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean,
		(SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied)`).Scan(&f.ReadOnly, &f.SchemaVersion)
	if err != nil {
		return ServerFacts{}, newUnavailableError("read facts about the server", err)
	}
	if f.Backup, err = d.backupFacts(ctx); err != nil {
		return ServerFacts{}, newUnavailableError("read the last backup", err)
	}
	var standbys int
	var lag *float64
	err = d.pool.QueryRow(ctx, replicationFacts).Scan(&standbys, &lag, &f.WALArchivedAt, &f.WALArchiveFailures)
	if err != nil {
		return f, nil //nolint:nilerr // not PostgreSQL, or not readable: unknown
	}
	f.Standbys = &standbys
	if lag != nil {
		f.ReplicationLag = new(time.Duration(*lag * float64(time.Second)))
	}
	return f, nil
}

// WantedSchemaVersion returns the last migration that this program knows.
func WantedSchemaVersion() (int64, error) { return newest(Migrations()) }
