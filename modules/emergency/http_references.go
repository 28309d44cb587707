package emergency

import "omnirapeutic/platform/httpx"

// grantReferences are the references of an emergency grant.
type grantReferences struct {
	httpx.Displayed
	Patient httpx.Expanded `json:"patient,omitempty" refers:"patient"`
}
