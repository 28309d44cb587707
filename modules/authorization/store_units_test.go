package authorization

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/record"
)

// TestSeveralReadsWhatTheModelSays compares the columns of the hottest query with the fields of the
// gorm model, so that no new column is missed.
func TestSeveralReadsWhatTheModelSays(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	owner, err := pgx.Connect(t.Context(), database.OwnerURL)
	require.NoError(t, err)
	defer func() { require.NoError(t, owner.Close(context.Background())) }()
	organization, bare, full := uuid.New(), uuid.New(), uuid.New()
	for _, statement := range []string{
		`INSERT INTO organizations (id, name, time_zone, version, created_at, updated_at) VALUES ($1, 'x', 'UTC', 1, now(),
			now())`,
		`INSERT INTO patients (organization_id, id, first_name, last_name, date_of_birth, status, version, created_at,
			updated_at)
			VALUES ($1, $1, 'Ada', 'Example', '2019-01-01', 'ACTIVE', 1, now(), now())`,
		`INSERT INTO service_codes (organization_id, id, code, description, unit_minutes, active, version, created_at,
			updated_at)
			VALUES ($1, $1, '97153', 'x', 15, true, 1, now(), now())`,
	} {
		_, err := owner.Exec(t.Context(), statement, organization)
		require.NoError(t, err)
	}
	const columns = `INSERT INTO authorizations (organization_id, id, patient_id, service_code_id, start_date, end_date,
		status, last_hash, created_at, updated_at, initial_units, total_units, used_units, scheduled_units, version,
		last_sequence, auth_number, notes, next_expiry, cap_day, cap_week, cap_month, cap_total, booked_by_date) VALUES ($1,
			$2, $1, $1, '2026-01-01', '2026-12-31', `
	_, err = owner.Exec(
		t.Context(),
		columns+`'PENDING', sha256('a'), now(), now(), 9, 9, 0, 0, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`,
		organization, bare,
	)
	require.NoError(t, err)
	_, err = owner.Exec(
		t.Context(),
		columns+`'ACTIVE', sha256('b'), now() - interval '1 day', now(), 90, 100, 20, 30, 4, 5,
			'A-1', 'note', now(), 1, 2, 3, 4, '{"2026-03-02": 30}')`,
		organization, full,
	)
	require.NoError(t, err)

	both, err := db.Snapshot(t.Context(), database.Open(t), "test", func(ctx context.Context) ([2][]Authorization, error) {
		several := &reading{keys: []record.Key{
			record.Of(organization, bare), record.Of(organization, uuid.New()),
			record.Of(organization, full),
		}}
		if err := db.Read(ctx, store{}.several(several)); err != nil {
			return [2][]Authorization{}, err
		}
		tx, err := db.Handle(ctx)
		if err != nil {
			return [2][]Authorization{}, err
		}
		var all []Authorization
		err = tx.Order("initial_units").Find(&all).Error
		return [2][]Authorization{several.rows, all}, err
	}, db.AllOrganizations())
	require.NoError(t, err)
	require.Len(t, both[0], 2)
	for _, found := range both {
		for i := range found { // compare instants, not zones
			found[i].CreatedAt, found[i].UpdatedAt = found[i].CreatedAt.UTC(), found[i].UpdatedAt.UTC()
			if found[i].NextExpiry != nil {
				found[i].NextExpiry = new(found[i].NextExpiry.In(time.UTC))
			}
		}
	}
	require.Equal(t, both[1], both[0])
	require.NotNil(t, both[0][1].Caps.Week)
	require.Len(t, both[0][1].UnitsByDate, 1)
}
