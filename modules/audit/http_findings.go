package audit

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/httpx"
)

// FindingBody is a problem of an audit trail.
type FindingBody struct {
	OrganizationID uuid.UUID `json:"organizationId"`
	Check          string    `json:"check"`              // The broken rule.
	Position       int64     `json:"position,omitempty"` // The position in the chain, if the problem has one.
	// The sequence number of the event, if the problem has one.
	Sequence int64  `json:"sequence,omitempty"`
	Expected string `json:"expected"` // The expected value.
	Found    string `json:"found"`    // The stored value.
}

// HeadBody is the last position and hash of a chain. Keep a copy elsewhere: if the trail still has
// this hash at this position, it is unchanged up to there.
type HeadBody struct {
	OrganizationID uuid.UUID `json:"organizationId"`
	Position       int64     `json:"position"` // The last position.
	Hash           string    `json:"hash"`     // The hash at that position.
}

// FindingsBody is the result of a verification.
type FindingsBody struct {
	OK      bool `json:"ok"`      // Whether the trail has no problems.
	Events  int  `json:"events"`  // The number of sealed events.
	Waiting int  `json:"waiting"` // The number of unsealed events.
	// The number of old events that were removed, up to the newest checkpoints.
	Removed      int64         `json:"removed"`
	Heads        []HeadBody    `json:"heads"`        // The last position of each chain.
	ProblemCount int           `json:"problemCount"` // The number of problems.
	Problems     []FindingBody `json:"problems"`     // The first 100 problems.
}

// FindingsBodyOf returns findings as in the API.
func FindingsBodyOf(f Findings) FindingsBody {
	return FindingsBody{
		OK: f.OK, Events: f.Events, Waiting: f.Waiting, Removed: f.Removed, ProblemCount: f.ProblemCount,
		Heads:    httpx.Bodies(f.Heads, func(h Head) HeadBody { return HeadBody(h) }),
		Problems: httpx.Bodies(f.Problems, func(p Finding) FindingBody { return FindingBody(p) }),
	}
}
