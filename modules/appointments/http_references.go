package appointments

import "omnirapeutic/platform/httpx"

// appointmentReferences are the references of an appointment.
type appointmentReferences struct {
	httpx.Displayed
	Patient       httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	Practitioners httpx.Expanded `json:"practitioners,omitempty" refers:"practitioner"`
	Supervisor    httpx.Expanded `json:"supervisor,omitempty" refers:"practitioner,supervisingPractitionerId"`
	ServiceCode   httpx.Expanded `json:"serviceCode,omitempty" refers:"serviceCode"`
	Authorization httpx.Expanded `json:"authorization,omitempty" refers:"authorization"`
	Location      httpx.Expanded `json:"location,omitempty" refers:"location"`
}

// sessionReferences are the references of a session.
type sessionReferences struct {
	httpx.Displayed
	Patient       httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	Practitioners httpx.Expanded `json:"practitioners,omitempty" refers:"practitioner"`
	Supervisor    httpx.Expanded `json:"supervisor,omitempty" refers:"practitioner,supervisingPractitionerId"`
	ServiceCode   httpx.Expanded `json:"serviceCode,omitempty" refers:"serviceCode"`
	Location      httpx.Expanded `json:"location,omitempty" refers:"location"`
}

// entryReferences are the references of a calendar entry.
type entryReferences struct {
	httpx.Displayed
	Practitioners httpx.Expanded `json:"practitioners,omitempty" refers:"practitioner"`
	Location      httpx.Expanded `json:"location,omitempty" refers:"location"`
}

// participantReferences are the references of a patient's part in an appointment or a session.
type participantReferences struct {
	httpx.Displayed
	Patient       httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	Authorization httpx.Expanded `json:"authorization,omitempty" refers:"authorization"`
}

// sessionVersionReferences are the references of a version of a session.
type sessionVersionReferences struct {
	httpx.Displayed
	Practitioners httpx.Expanded `json:"practitioners,omitempty" refers:"practitioner"`
	Supervisor    httpx.Expanded `json:"supervisor,omitempty" refers:"practitioner,supervisingPractitionerId"`
	Location      httpx.Expanded `json:"location,omitempty" refers:"location"`
}

// visitReferences are the references of a visit.
type visitReferences struct {
	httpx.Displayed
	Patient      httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	Practitioner httpx.Expanded `json:"practitioner,omitempty" refers:"practitioner"`
	Location     httpx.Expanded `json:"location,omitempty" refers:"location"`
}

// practitionerReference are the references of what one practitioner has or did.
type practitionerReference struct {
	httpx.Displayed
	Practitioner httpx.Expanded `json:"practitioner,omitempty" refers:"practitioner"`
}

// feedReferences are the references of a calendar feed.
type feedReferences struct {
	httpx.Displayed
	Practitioner httpx.Expanded `json:"practitioner,omitempty" refers:"practitioner"`
	Patient      httpx.Expanded `json:"patient,omitempty" refers:"patient"`
}

// patientReference is the reference of what one patient has or missed.
type patientReference struct {
	httpx.Displayed
	Patient httpx.Expanded `json:"patient,omitempty" refers:"patient"`
}

// missedGroupReferences are the references of a row of the report of cancellations.
type missedGroupReferences struct {
	httpx.Displayed
	Patient      httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	Practitioner httpx.Expanded `json:"practitioner,omitempty" refers:"practitioner"`
}
