package emergency

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// NewGrant is a request for a grant.
type NewGrant struct {
	PatientID uuid.UUID
	Reason    string        // [MinReason] to [MaxReason] characters
	Duration  time.Duration // [MinDuration] to [MaxDuration]; 0: [DefaultDuration]
}

func (n *NewGrant) normalize() error {
	n.Reason = strings.TrimSpace(n.Reason)
	if n.Duration == 0 {
		n.Duration = DefaultDuration
	}
	var fieldErrors []fault.Field
	if length := utf8.RuneCountInString(n.Reason); length < MinReason || length > MaxReason {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "reason", Code: "range",
			Message: fmt.Sprintf("must have between %d and %d characters, without spaces around it", MinReason, MaxReason),
		})
	}
	if n.Duration < MinDuration || n.Duration > MaxDuration {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "durationMinutes", Code: "range",
			Message: fmt.Sprintf("must be between %d and %d", MinDuration/time.Minute, MaxDuration/time.Minute),
		})
	}
	if len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	return nil
}

func isSameReview(at *time.Time, by *uuid.UUID, now time.Time, caller uuid.UUID) bool {
	return at != nil && by != nil && at.Equal(now) && *by == caller
}

// OpenAt reports whether the grant is neither revoked nor expired at the given time.
func (g Grant) OpenAt(now time.Time) bool { return g.RevokedAt == nil && now.Before(g.ExpiresAt) }

// The lifetime of a grant.
const (
	MinDuration     = 30 * time.Minute
	DefaultDuration = 60 * time.Minute
	MaxDuration     = 480 * time.Minute
)

// The length of a reason in characters, without surrounding spaces. It must be long enough for a
// reviewer to judge.
const (
	MinReason = 25
	MaxReason = 500
)
