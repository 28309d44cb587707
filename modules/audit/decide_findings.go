package audit

import (
	"fmt"

	"github.com/google/uuid"
)

// Finding is a problem of an audit trail.
type Finding struct {
	OrganizationID uuid.UUID
	Check          string // the broken rule
	Position       int64  // in the chain; 0: the problem has none
	Sequence       int64  // of the event; 0: the problem has none
	Expected       string
	Found          string // the stored value
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
	OrganizationID uuid.UUID
	Position       int64
	Hash           string // at that position
}

// Findings is the result of a verification.
type Findings struct {
	OK           bool   // the trail has no problems
	Events       int    // the number of sealed events
	Waiting      int    // the number of unsealed events
	Removed      int64  // the number of old events that were removed, up to the newest checkpoints
	Heads        []Head // of each chain
	ProblemCount int
	Problems     []Finding // the first 100 problems
}

func (r *Findings) add(p Finding) {
	r.ProblemCount++
	if len(r.Problems) < maxListedFindings {
		r.Problems = append(r.Problems, p)
	}
}

// Include adds a problem that was found elsewhere.
func (r *Findings) Include(p Finding) {
	r.add(p)
	r.OK = false
}

// addAll adds the findings of a part.
func (r *Findings) addAll(part Findings) {
	r.Events += part.Events
	r.Waiting += part.Waiting
	r.Removed += part.Removed
	r.Heads = append(r.Heads, part.Heads...)
	r.ProblemCount += part.ProblemCount
	r.Problems = append(r.Problems, part.Problems[:min(len(part.Problems), maxListedFindings-len(r.Problems))]...)
}
