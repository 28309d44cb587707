package account

import "omnirapeutic/platform/httpx"

// accountReferences are the references of a user.
type accountReferences struct {
	httpx.Displayed
	Practitioner httpx.Expanded `json:"practitioner,omitempty" refers:"practitioner"`
}
