package verification

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// store keeps runs. It takes the transaction and the organization from the context. Its leases use
// the database's clock, which all instances share.
type store struct{}

// runRow is a row of the table verifications with the columns [runColumns].
type runRow struct {
	OrganizationID        uuid.UUID
	ID                    uuid.UUID
	Mode                  Mode
	State                 State
	StartedBy             uuid.UUID
	StartedAt             time.Time
	FinishedAt            *time.Time
	Failure               *Failure
	Result                *string
	AuthorizationsChecked int64
	AuthorizationsTotal   *int64
	EventsChecked         int64
	EventsTotal           *int64
}

func (r runRow) run() Run {
	run := Run{
		OrganizationID: r.OrganizationID, ID: r.ID, Mode: r.Mode, State: r.State, StartedBy: r.StartedBy,
		StartedAt: r.StartedAt.UTC(), Failure: r.Failure,
		Authorizations: Count{r.AuthorizationsChecked, r.AuthorizationsTotal},
		Events:         Count{r.EventsChecked, r.EventsTotal},
	}
	if r.FinishedAt != nil {
		at := r.FinishedAt.UTC()
		run.FinishedAt = &at
	}
	if r.Result != nil {
		run.Result = []byte(*r.Result)
	}
	return run
}

// runColumns are the columns of [runRow]. A run with an expired lease is shown as interrupted, even
// before the row says so.
const runColumns = `organization_id, id, mode, started_by, started_at, authorizations_checked, authorizations_total,
	events_checked, events_total,
	CAST(result AS text) AS result,
	CASE WHEN state = 'RUNNING' AND lease_until <= now() THEN 'FAILED' ELSE state END AS state,
	CASE WHEN state = 'RUNNING' AND lease_until <= now() THEN 'interrupted' ELSE failure END AS failure,
	CASE WHEN state = 'RUNNING' AND lease_until <= now() THEN lease_until ELSE finished_at END AS finished_at`

// endExpired marks the organization's run as interrupted if its lease has expired. Index:
// verifications_one_running.
func (store) endExpired(ctx context.Context) error {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Exec(`
		UPDATE verifications SET state = 'FAILED', failure = 'interrupted', finished_at = lease_until
		WHERE organization_id = $1 AND state = 'RUNNING' AND lease_until <= now()`, organization).Error
}

// insert writes a new run with its lease, unless the organization has one already. It waits for
// another transaction that is inserting one.
func (store) insert(ctx context.Context, r Run, lease time.Duration) (inserted bool, err error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	result := tx.Exec(`
		INSERT INTO verifications (organization_id, id, mode, state, started_by, started_at, lease_until)
		VALUES ($1, $2, $3, 'RUNNING', $4, $5, now() + $6 * interval '1 second')
		ON CONFLICT (organization_id) WHERE state = 'RUNNING' DO NOTHING`,
		r.OrganizationID, r.ID, string(r.Mode), r.StartedBy, r.StartedAt, lease.Seconds())
	return result.RowsAffected == 1, result.Error
}

// exists reports whether the organization has the run. Index: the primary key.
func (store) exists(ctx context.Context, id uuid.UUID) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Table("verifications").Where("id = ?", id).Count(&found).Error
	return found == 1, err
}

// running returns the organization's run, if any. Index: verifications_one_running.
func (store) running(ctx context.Context) ([]runRow, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []runRow
	err = tx.Table("verifications").Select(runColumns).Where("state = 'RUNNING'").Scan(&found).Error
	return found, err
}

// get returns a run of the organization. The error is [ErrNotFound]. Index: the primary key.
func (store) get(ctx context.Context, id uuid.UUID) (Run, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Run{}, err
	}
	var found []runRow
	err = tx.Table("verifications").Select(runColumns).Where("id = ?", id).Scan(&found).Error
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Run{}, err
	}
	return found[0].run(), nil
}

// list returns runs of the organization. Index: the primary key.
func (store) list(ctx context.Context, page db.Keyset) ([]Run, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []runRow
	err = page.Apply(tx.Table("verifications").Select(runColumns)).Scan(&found).Error
	runs := make([]Run, len(found))
	for i, row := range found {
		runs[i] = row.run()
	}
	return runs, err
}

// renew writes the progress, extends the lease, and reports whether this instance still has it. An
// expired lease is not renewed. Index: the primary key.
func (store) renew(
	ctx context.Context, id uuid.UUID, authorizations, events Count, lease time.Duration,
) (held bool, err error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	result := tx.Exec(`
		UPDATE verifications SET
			authorizations_checked = $3, authorizations_total = $4, events_checked = $5, events_total = $6,
			lease_until = now() + $7 * interval '1 second'
		WHERE organization_id = $1 AND id = $2 AND state = 'RUNNING' AND lease_until > now()`,
		organization, id, authorizations.Checked, authorizations.Total, events.Checked, events.Total, lease.Seconds())
	return result.RowsAffected == 1, result.Error
}

// end writes the end of the run, and reports whether this instance still had the lease. Index: the
// primary key.
func (store) end(ctx context.Context, r Run) (held bool, err error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var result *string
	if r.Result != nil {
		text := string(r.Result)
		result = &text
	}
	written := tx.Exec(`
		UPDATE verifications SET
			authorizations_checked = $3, authorizations_total = $4, events_checked = $5, events_total = $6,
			state = $7, failure = $8, finished_at = $9, result = CAST(CAST($10 AS text) AS jsonb)
		WHERE organization_id = $1 AND id = $2 AND state = 'RUNNING' AND lease_until > now()`,
		organization, r.ID, r.Authorizations.Checked, r.Authorizations.Total, r.Events.Checked, r.Events.Total,
		r.State, r.Failure, r.FinishedAt, result)
	return written.RowsAffected == 1, written.Error
}
