package user

import "omnirapeutic/platform/httpx"

// assignmentReferences are the references of a patient on a caseload.
type assignmentReferences struct {
	httpx.Displayed
	Practitioner httpx.Expanded `json:"practitioner,omitempty" refers:"practitioner"`
	Patient      httpx.Expanded `json:"patient,omitempty" refers:"patient"`
}

// guardianshipReferences are the references of a patient of a user.
type guardianshipReferences struct {
	httpx.Displayed
	Patient httpx.Expanded `json:"patient,omitempty" refers:"patient"`
}
