package session

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
)

// Session is one sign-in on one device: a family of refresh tokens.
type Session struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	UserID         uuid.UUID
	Epoch          int64 // of the user at its start; with a later epoch the session has ended
	StartedAt      time.Time
	UsedAt         time.Time // the last refresh
	IdleUntil      time.Time // end, unless it is refreshed before
	EndsAt         time.Time // latest end
	EndedAt        *time.Time
	Address        string
	ThrottleKey    []byte     // the key of the user's address and network
	ByProvider     bool       // through an identity provider
	RepeatedAt     *time.Time // when a used refresh token was last answered again
}

// endReason returns why the session has ended, for the audit trail; "": it is active.
func (in Session) endReason(now time.Time, u rbac.User) string {
	switch {
	case u.RefusalReason() != "":
		return u.RefusalReason()
	case in.EndedAt != nil || in.Epoch != u.Epoch:
		return "revoked"
	case !now.Before(in.EndsAt):
		return "ended"
	case !now.Before(in.IdleUntil):
		return "idle"
	}
	return ""
}

// EnrolOnly reports whether the user's session can only set up a second factor. Identity providers
// check second factors themselves.
func (in Session) EnrolOnly(u rbac.User) bool {
	return u.SecondFactorRequired && !u.SecondFactor && !in.ByProvider
}

// extend extends the session by the idle time, but not past its latest end.
func (in *Session) extend(now time.Time, idle time.Duration) {
	in.UsedAt, in.IdleUntil = now, now.Add(idle)
	if in.IdleUntil.After(in.EndsAt) {
		in.IdleUntil = in.EndsAt
	}
}

// refreshGrace is how long a used refresh token gets the same answer again, from the same network
// and unless its successor was used. It is for clients that lost the answer or sent the request
// twice.
const refreshGrace = 30 * time.Second

// canRepeat reports whether a used token may be answered again: within the grace period and to the
// same network.
func (f foundRefresh) canRepeat(from string, now time.Time) bool {
	return now.Sub(*f.UsedAt) <= refreshGrace && (f.UsedFrom == nil || *f.UsedFrom == from)
}
