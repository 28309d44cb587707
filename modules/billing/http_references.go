package billing

import "omnirapeutic/platform/httpx"

// lineReferences are the references of a claim line.
type lineReferences struct {
	httpx.Displayed
	Patient               httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	Payer                 httpx.Expanded `json:"payer,omitempty" refers:"payer"`
	Insurance             httpx.Expanded `json:"insurance,omitempty" refers:"insurance"`
	Authorization         httpx.Expanded `json:"authorization,omitempty" refers:"authorization"`
	RenderingPractitioner httpx.Expanded `json:"renderingPractitioner,omitempty" refers:"practitioner"`
	Supervisor            httpx.Expanded `json:"supervisor,omitempty" refers:"practitioner,supervisingPractitionerId"`
}

// exportReferences are the references of an export.
type exportReferences struct {
	httpx.Displayed
	Payer httpx.Expanded `json:"payer,omitempty" refers:"payer"`
}

// claimReferences are the references of a claim.
type claimReferences struct {
	httpx.Displayed
	Patient httpx.Expanded `json:"patient,omitempty" refers:"patient"`
}
