package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
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
			c := open(t)
			path := c.authorize(t, 10_000)
			who := c.employ(t)
			c.asOwner(t, `CREATE SEQUENCE forced`)
			// Sequence values are not rolled back.
			c.asOwner(t, fmt.Sprintf(`CREATE FUNCTION force() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
				BEGIN
					IF nextval('public.forced') = 1 THEN RAISE EXCEPTION 'forced' USING ERRCODE = '%s'; END IF;
					RETURN NULL;
				END $$`, state))
			day := 0
			retried := func() int { return c.admin().get(t, "/admin/retry-metrics").ok(t).number(t, "retries") }
			for _, table := range tables {
				for _, trigger := range []string{ // at the statement, and at COMMIT
					`CREATE TRIGGER forcing AFTER INSERT OR UPDATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION force()`,
					`CREATE CONSTRAINT TRIGGER forcing AFTER INSERT
						OR UPDATE ON %s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION force()`,
				} {
					day--
					before, tries := c.admin().get(t, path).number(t, "usedUnits"), retried()
					c.asOwner(t, `ALTER SEQUENCE forced RESTART`)
					c.asOwner(t, fmt.Sprintf(trigger, table))
					held := c.admin().post(t, path+"/reserve", body{"units": 3}).reservationID(t)
					require.Equal(t, http.StatusOK, c.admin().post(t, path+"/consume", body{"reservationId": held, "units": 2}).status)
					booked := c.book(t, c.booking(path, who, c.hour(t, day, "15:00"), hour))
					c.admin().post(t, booked+"/complete", body{}).ok(t)
					c.asOwner(t, "DROP TRIGGER forcing ON "+table)
					c.requireBalance(t, path, 10_000, before+6, 0)
					require.Equal(t, tries+1, retried(), "%s", table)
				}
			}
			c.requireClean(t)
		})
	}
}
