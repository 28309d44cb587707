package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestSerializationFailuresAreForcedAtEveryWrite makes each table in turn fail the first
// write with 40001 and 40P01, and then the first COMMIT. Each step is retried as a whole
// and takes effect once.
func TestSerializationFailuresAreForcedAtEveryWrite(t *testing.T) {
	t.Parallel()
	tables := []string{
		"authorizations", "unit_reservations", "unit_entries", "outbox", "audit_events", "audit_unsealed", "commands",
		"appointments", "appointment_patients", "appointment_practitioners", "sessions", "session_patients",
	}
	for _, state := range []string{"40001", "40P01"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			path := c.Authorize(t, 10_000)
			practitioner := c.AddPractitioner(t)
			c.ExecAsOwner(t, `CREATE SEQUENCE forced`)
			// Sequence values are not rolled back.
			c.ExecAsOwner(t, fmt.Sprintf(`CREATE FUNCTION force() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
				BEGIN
					IF nextval('public.forced') = 1 THEN RAISE EXCEPTION 'forced' USING ERRCODE = '%s'; END IF;
					RETURN NULL;
				END $$`, state))
			day := 0
			retried := func() int { return c.Admin().Get(t, "/admin/retry-metrics").OK(t).Number(t, "retries") }
			for _, table := range tables {
				for _, trigger := range []string{ // at the statement, and at COMMIT
					`CREATE TRIGGER forcing AFTER INSERT OR UPDATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION force()`,
					`CREATE CONSTRAINT TRIGGER forcing AFTER INSERT
						OR UPDATE ON %s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION force()`,
				} {
					day--
					before, tries := c.Admin().Get(t, path).Number(t, "usedUnits"), retried()
					c.ExecAsOwner(t, `ALTER SEQUENCE forced RESTART`)
					c.ExecAsOwner(t, fmt.Sprintf(trigger, table))
					held := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 3}).ReservationID(t)
					require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/consume", harness.Body{
						"reservationId": held, "units": 2,
					}).Status)
					booked := c.Book(t, c.Booking(path, practitioner, c.At(t, day, "15:00"), time.Hour))
					c.Admin().Post(t, booked+"/complete", harness.Body{}).OK(t)
					c.ExecAsOwner(t, "DROP TRIGGER forcing ON "+table)
					c.RequireBalance(t, path, 10_000, before+6, 0)
					require.Equal(t, tries+1, retried(), "%s", table)
				}
			}
			c.RequireClean(t)
		})
	}
}
