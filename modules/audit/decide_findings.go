package audit

import (
	"fmt"

	"github.com/google/uuid"
)

// Finding is a problem of an audit trail.
type Finding struct {
	OrganizationID uuid.UUID `json:"organizationId"`
	Check          string    `json:"check"`              // The broken rule.
	Position       int64     `json:"position,omitempty"` // The position in the chain, if the problem has one.
	// The sequence number of the event, if the problem has one.
	Sequence int64  `json:"sequence,omitempty"`
	Expected string `json:"expected"` // The expected value.
	Found    string `json:"found"`    // The stored value.
}

// String returns the problem in one line.
func (p Finding) String() string {
	location := "audit trail of " + p.OrganizationID.String()
	if p.Position > 0 {
		location += fmt.Sprintf(", position %d", p.Position)
	}
	if p.Sequence > 0 {
		location += fmt.Sprintf(", event %d", p.Sequence)
	}
	return fmt.Sprintf("%s: %s: expected %s, found %s", location, p.Check, p.Expected, p.Found)
}

// maxListedFindings limits the problems that a report lists; all of them are counted.
const maxListedFindings = 100

// Head is the last position and hash of a chain. Keep a copy elsewhere: if the trail still has
// this hash at this position, it is unchanged up to there.
type Head struct {
	OrganizationID uuid.UUID `json:"organizationId"`
	Position       int64     `json:"position"` // The last position.
	Hash           string    `json:"hash"`     // The hash at that position.
}

// Findings is the result of a verification.
type Findings struct {
	OK      bool `json:"ok"`      // Whether the trail has no problems.
	Events  int  `json:"events"`  // The number of sealed events.
	Waiting int  `json:"waiting"` // The number of unsealed events.
	// The number of old events that were removed, up to the newest checkpoints.
	Removed      int64     `json:"removed"`
	Heads        []Head    `json:"heads"`        // The last position of each chain.
	ProblemCount int       `json:"problemCount"` // The number of problems.
	Problems     []Finding `json:"problems"`     // The first 100 problems.
}

func (r *Findings) add(p Finding) {
	r.ProblemCount++
	if len(r.Problems) < maxListedFindings {
		r.Problems = append(r.Problems, p)
	}
}
