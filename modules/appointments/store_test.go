package appointments

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// TestPlans looks at how PostgreSQL finds rows on tables of any size, since under
// SERIALIZABLE whatever a plan passes is locked.
func TestPlans(t *testing.T) {
	t.Parallel()
	opened := dbtest.New(t).Open(t)
	id := uuid.NewString()
	for _, test := range []struct{ it, query, index string }{
		{
			"finds an appointment by its id", `SELECT * FROM appointments t WHERE t.organization_id = '` + id + `' AND t.id = '` + id + `'`,
			"appointments_pkey",
		},
		{
			"finds who takes part by the appointment", `SELECT * FROM appointment_patients t WHERE t.organization_id = '` + id + `' AND t.appointment_id = '` + id + `'`,
			"appointment_patients_pkey",
		},
		{
			"finds a practitioner's day by its start",
			`SELECT * FROM appointment_practitioners t WHERE t.organization_id = '` + id + `' AND t.practitioner_id = '` + id + `'
				AND t.starts_at < now() AND t.starts_at > now() - interval '1 day' AND t.ends_at > now() AND t.occupies`,
			"appointment_practitioners_by_start",
		},
		{
			"finds a patient's day by its start",
			`SELECT * FROM appointment_patients t WHERE t.organization_id = '` + id + `' AND t.patient_id = '` + id + `'
				AND t.starts_at < now() AND t.starts_at > now() - interval '1 day' AND t.ends_at > now() AND t.occupies`,
			"appointment_patients_by_start",
		},
		{
			"finds a week of the calendar by its start",
			`SELECT * FROM appointments t WHERE t.organization_id = '` + id + `' AND starts_at >= now() AND starts_at < now() + interval '7 days'
				AND (CAST(starts_at AS timestamptz), id) > (CAST('2026-03-01T00:00:00Z' AS timestamptz), '` + id + `')
				ORDER BY CAST(starts_at AS timestamptz), id LIMIT 21`,
			"appointments_by_start",
		},
	} {
		t.Run("it "+test.it, func(t *testing.T) {
			t.Parallel()
			plan, err := db.Snapshot(t.Context(), opened, "plan", func(ctx context.Context) (string, error) {
				tx, err := db.Handle(ctx)
				if err != nil {
					return "", err
				}
				var lines []string
				err = tx.Raw("EXPLAIN " + test.query).Scan(&lines).Error
				return strings.Join(lines, "\n"), err
			})
			require.NoError(t, err)
			require.Contains(t, plan, test.index)
			require.NotContains(t, plan, "Seq Scan")
		})
	}
}
