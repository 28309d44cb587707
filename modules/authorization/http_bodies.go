package authorization

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/scheduling"
)

// Body is an authorization in API responses.
type Body struct {
	ID             uuid.UUID  `json:"id"`
	OrganizationID uuid.UUID  `json:"organizationId"`
	PatientID      uuid.UUID  `json:"patientId"`
	InsuranceID    *uuid.UUID `json:"insuranceId"`
	ServiceCodeID  uuid.UUID  `json:"serviceCodeId"`
	AuthNumber     *string    `json:"authNumber"`
	// The modifiers of claim lines that the payer states.
	Modifiers      []string      `json:"modifiers"`
	TotalUnits     int           `json:"totalUnits"`
	UsedUnits      int           `json:"usedUnits"`
	ScheduledUnits int           `json:"scheduledUnits"`
	AvailableUnits int           `json:"availableUnits"`
	StartDate      calendar.Date `json:"startDate"`
	EndDate        calendar.Date `json:"endDate"`
	// The status of the authorization.
	Status Status `json:"status"`
	// The caps of the authorization.
	Caps []capBody `json:"caps"`
	// The notes of the organization.
	Notes     *string   `json:"notes" needs:"authorization:read-notes"`
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	authorizationReferences
}

// Location returns the path of the authorization.
func (b Body) Location() string { return "/api/v1/authorizations/" + b.ID.String() }

// Revision returns the version, which the API sends as the ETag.
func (b Body) Revision() int { return b.Version }

// BodyOf returns the wire form of an authorization.
func BodyOf(v View) Body {
	return Body{
		ID: v.ID, OrganizationID: v.OrganizationID, PatientID: v.PatientID, InsuranceID: v.InsuranceID,
		ServiceCodeID: v.ServiceCodeID, AuthNumber: v.AuthNumber, Modifiers: v.Modifiers.List(),
		TotalUnits: v.Total, UsedUnits: v.Used, ScheduledUnits: v.Scheduled, AvailableUnits: v.Available(),
		StartDate: v.StartDate, EndDate: v.EndDate, Status: v.Status, Caps: capBodiesOf(v.Caps), Notes: v.Notes,
		Version: v.Version, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt,
	}
}

// capBody is a cap in API responses.
type capBody struct {
	Period Period `json:"period"` // The period of the cap.
	Units  int    `json:"units"`
}

func capBodiesOf(c Caps) []capBody {
	bodies := []capBody{}
	for _, each := range c.List() {
		bodies = append(bodies, capBody(each))
	}
	return bodies
}

// capRequest is a cap in API requests.
//
// Units is a pointer because a cap of 0 units differs from a missing field.
type capRequest struct {
	Period Period `json:"period" validate:"required,oneof=DAY WEEK MONTH TOTAL"` // The period of the cap.
	Units  *int   `json:"units" validate:"required,min=0,max=10000000"`
}

// capped has the list of caps of a request; null means an empty list.
type capped struct {
	// The caps. They replace the previous ones.
	Caps patch.Clearable[[]capRequest] `json:"caps" validate:"omitempty,max=4,dive"`
}

func (c capped) list() []Cap {
	if c.Caps.Value == nil {
		return nil
	}
	var list []Cap
	for _, each := range *c.Caps.Value {
		list = append(list, Cap{each.Period, *each.Units})
	}
	return list
}

func (c capped) change() patch.Clearable[[]Cap] {
	return patch.Clearable[[]Cap]{Given: c.Caps.Given, Value: new(c.list())}
}

// ChangeRequest is the wire form of a [Change].
type ChangeRequest struct {
	byID
	matching
	capped
	InsuranceID patch.Clearable[uuid.UUID] `json:"insuranceId"`
	AuthNumber  patch.Clearable[string]    `json:"authNumber" validate:"omitempty,min=1,max=50,text"`
	// The modifiers of claim lines that the payer states. They replace the previous ones. They apply to bookings and
	// sessions that are booked, completed or corrected from now on. Null: none.
	Modifiers  patch.Clearable[[]string]  `json:"modifiers" validate:"omitempty,max=4,dive,len=2,alphanum,uppercase"`
	TotalUnits patch.Field[int]           `json:"totalUnits" validate:"omitempty,min=0,max=10000000"`
	StartDate  patch.Field[calendar.Date] `json:"startDate"`
	EndDate    patch.Field[calendar.Date] `json:"endDate"`
	// The status of the authorization.
	Status patch.Field[Status] `json:"status" validate:"omitempty,oneof=PENDING ACTIVE CANCELLED"`
	// The notes of the organization.
	Notes patch.Clearable[string] `json:"notes" validate:"omitempty,max=4000" needs:"authorization:read-notes"`
	// The reason, which is stored in the audit trail, the ledger's entries and the
	// appointments that the change cancels.
	Reason *string `json:"reason" validate:"omitempty,min=1,max=500,text"`
}

// Change returns the requested change.
func (r ChangeRequest) Change() Change {
	return Change{
		Match: r.IfMatch, InsuranceID: r.InsuranceID, AuthNumber: r.AuthNumber, Modifiers: r.modifiers(),
		TotalUnits: r.TotalUnits,
		StartDate:  r.StartDate, EndDate: r.EndDate, Status: r.Status, Caps: r.change(), Notes: r.Notes, Reason: r.Reason,
	}
}

func (r ChangeRequest) modifiers() patch.Clearable[scheduling.Modifiers] {
	c := patch.Clearable[scheduling.Modifiers]{Given: r.Modifiers.Given}
	if r.Modifiers.Value != nil {
		c.Value = new(scheduling.ModifiersOf(*r.Modifiers.Value))
	}
	return c
}

// shown records each authorization of the page as read by the caller, for the audit trail, and
// returns the page.
func shown[B any](
	ctx context.Context, page httpx.Page[B], of func(B) (authorization, patient uuid.UUID),
) httpx.Page[B] {
	for _, body := range page.Data {
		authorization, patient := of(body)
		show(ctx, authorization, patient)
	}
	return page
}
