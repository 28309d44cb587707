package identity

import "omnirapeutic/platform/fault"

// ErrBeyondOwn is returned if a caller grants or revokes permissions that the caller
// does not hold, by a role or a webhook. Its details are [Excess].
var ErrBeyondOwn = fault.Define(fault.Forbidden, "beyond-own-permissions", "This includes permissions that you do not "+
	"have yourself.").Carrying(Excess{}).
	Advising("Do not offer this to the user. `exceeds` names the first missing permission.")

// Excess are the details of [ErrBeyondOwn]: the first permission that the caller does
// not hold, or holds for fewer records.
type Excess struct {
	// The first permission that the caller does not hold, or holds for fewer records.
	Exceeds Permission `json:"exceeds"`
}
