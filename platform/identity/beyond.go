package identity

import "omnirapeutic/platform/fault"

// ErrBeyondOwn says that nobody gives or takes away what they do not hold, be it a
// role or what a webhook is sent. It comes with [Excess].
var ErrBeyondOwn = fault.Define(fault.Forbidden, "beyond-own-permissions", "This gives or concerns permissions that you do not hold yourself.").Carrying(Excess{}).
	Advising("Do not offer it to this user; `exceeds` names the first permission that is missing.")

// Excess are the details of [ErrBeyondOwn]: the first permission that whoever gives
// it does not hold, or not for as many records.
type Excess struct {
	Exceeds Permission `json:"exceeds"`
}
