package rbac

import (
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// Core holds what every service of access control needs. Tests provide their own clock and ids.
type Core struct {
	Database *db.DB
	Clock    Clock
	NewID    func() uuid.UUID
	Audit    trail.Recorder
	Logger   logrus.FieldLogger
}

// Clock returns the current time.
type Clock func() time.Time

// Now returns the time with the precision of the database: whole microseconds.
func (c Clock) Now() time.Time { return c().UTC().Truncate(time.Microsecond) }

// InUTC returns the time in UTC; nil stays nil.
func InUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}
