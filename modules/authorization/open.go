package authorization

import (
	"fmt"
	"time"
)

// A reservation is open while it holds units that count as scheduled: some are left, and its hold
// has not expired. An expired hold is closed from that time on, even before the sweeper releases
// it. This file is the only definition, in Go and in SQL. The column "open" of unit_reservations
// only means that units are left.

// OpenAt reports whether the reservation is open at that time.
func (r Reservation) OpenAt(now time.Time) bool { return r.hasLeft() && !r.lapsed(now) }

// ExpiredAt reports whether the reservation is a hold that has expired by that time, and still has
// units for the sweeper to release.
func (r Reservation) ExpiredAt(now time.Time) bool { return r.hasLeft() && r.lapsed(now) }

func (r Reservation) hasLeft() bool { return r.Left() > 0 }

func (r Reservation) lapsed(now time.Time) bool {
	return r.ExpiresAt != nil && !r.ExpiresAt.After(now)
}

// openSQL returns [Reservation.OpenAt] as SQL, for a table or alias and a time parameter.
func openSQL(reservation, now string) string {
	return fmt.Sprintf("%[1]s.open AND (%[1]s.expires_at IS NULL OR %[1]s.expires_at > %[2]s)", reservation, now)
}

// expiredSQL returns [Reservation.ExpiredAt] as SQL, for a table or alias and a time parameter.
func expiredSQL(reservation, now string) string {
	return fmt.Sprintf("%[1]s.open AND %[1]s.expires_at <= %[2]s", reservation, now)
}

// expiredUnitsSQL returns SQL for the number of units in expired holds of an authorization, for a
// table or alias of the authorization. It needs the parameter @now. It reads reservations only if a
// hold may have expired. Index: unit_reservations_open_oldest_first.
func expiredUnitsSQL(authorization string) string {
	return fmt.Sprintf(`CASE WHEN %[1]s.next_expiry <= @now THEN (
			SELECT coalesce(sum(r.units - r.consumed_units - r.released_units), 0)
			FROM unit_reservations r
			WHERE r.organization_id = %[1]s.organization_id AND r.authorization_id = %[1]s.id
				AND %[2]s
		) ELSE 0 END`, authorization, expiredSQL("r", "@now"))
}

// mayHaveExpired reports whether an open hold may have expired.
func (a Authorization) mayHaveExpired(now time.Time) bool {
	return a.NextExpiry != nil && !a.NextExpiry.After(now)
}
