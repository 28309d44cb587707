package authorization

import (
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/scheduling"
)

// NewAuthorization has the fields of an authorization to create.
type NewAuthorization struct {
	PatientID     uuid.UUID
	ServiceCodeID uuid.UUID
	InsuranceID   *uuid.UUID
	AuthNumber    *string
	Modifiers     scheduling.Modifiers
	TotalUnits    int // 0 to [MaxUnits]
	StartDate     calendar.Date
	EndDate       calendar.Date
	Status        Status // Pending or Active; default: Active
	Caps          []Cap
	Notes         *string
}

// check returns the caps, or the field errors.
func (n NewAuthorization) check() (Caps, error) {
	caps, fieldErrors := capsOf(n.Caps)
	fieldErrors = append(fieldErrors, checkModifiers(n.Modifiers)...)
	if n.TotalUnits < 0 || n.TotalUnits > MaxUnits {
		fieldErrors = append(fieldErrors, fieldUnits("totalUnits", 0))
	}
	if n.EndDate.Before(n.StartDate) {
		fieldErrors = append(fieldErrors, fieldDatesOrder)
	}
	if n.Status != Pending && n.Status != Active {
		fieldErrors = append(fieldErrors, fault.Field{Field: "status", Code: "oneof", Message: "must be PENDING or ACTIVE"})
	}
	if len(fieldErrors) > 0 {
		return caps, fault.InvalidFields(fieldErrors...)
	}
	return caps, nil
}

// checkModifiers returns an error for modifiers that a claim line cannot carry.
func checkModifiers(m scheduling.Modifiers) []fault.Field {
	if m.Valid() {
		return nil
	}
	return []fault.Field{{Field: "modifiers", Code: "modifier", Message: fmt.Sprintf(
		"must be up to %d different modifiers of two capital letters or digits, such as HM", scheduling.MaxModifiers)}}
}

var fieldDatesOrder = fault.Field{Field: "endDate", Code: "gtefield", Message: "must not be before startDate"}

// Change is a change of an authorization's terms. Fields that are not given stay unchanged.
type Change struct {
	Match       patch.Match // the versions that the change applies to
	InsuranceID patch.Clearable[uuid.UUID]
	AuthNumber  patch.Clearable[string]
	Modifiers   patch.Clearable[scheduling.Modifiers]
	TotalUnits  patch.Field[int] // needs [permission.AuthorizationAdjust]; becomes a ledger entry
	StartDate   patch.Field[calendar.Date]
	EndDate     patch.Field[calendar.Date]
	Status      patch.Field[Status]
	Caps        patch.Clearable[[]Cap] // replaces all caps
	Notes       patch.Clearable[string]
	Reason      *string // stored in the audit event and in the ledger's entries
}

// RequirePermission returns [identity.ErrForbidden] if the caller lacks a permission that this
// change needs in addition to [permission.AuthorizationChange].
func (c Change) RequirePermission(caller identity.Caller) error {
	if c.TotalUnits.Given {
		return caller.RequireForOrganization(permission.AuthorizationAdjust)
	}
	return nil
}

// FieldErrors returns the errors that do not depend on stored state.
func (c Change) FieldErrors() []fault.Field {
	_, fieldErrors := c.caps()
	if c.Modifiers.Value != nil {
		fieldErrors = append(fieldErrors, checkModifiers(*c.Modifiers.Value)...)
	}
	if c.TotalUnits.Given && (c.TotalUnits.Value < 0 || c.TotalUnits.Value > MaxUnits) {
		fieldErrors = append(fieldErrors, fieldUnits("totalUnits", 0))
	}
	return fieldErrors
}

// Empty reports whether the change gives no field.
func (c Change) Empty() bool { return !c.TotalUnits.Given && !c.givesTerms() }

// givesTerms reports whether the change includes fields that are not in the ledger.
func (c Change) givesTerms() bool {
	return c.InsuranceID.Given || c.AuthNumber.Given || c.Modifiers.Given || c.StartDate.Given ||
		c.EndDate.Given || c.Status.Given ||
		c.Caps.Given || c.Notes.Given
}

// caps returns the new caps, and their field errors.
func (c Change) caps() (Caps, []fault.Field) {
	if c.Caps.Value == nil {
		return Caps{}, nil
	}
	return capsOf(*c.Caps.Value)
}

// With returns the authorization with the new dates, the new status and the other new terms. The
// total stays unchanged. The error is [fault.ErrInvalid] if the dates are in the wrong order.
func (a Authorization) With(c Change) (Authorization, error) {
	c.InsuranceID.Apply(&a.InsuranceID)
	c.AuthNumber.Apply(&a.AuthNumber)
	if c.Modifiers.Given {
		a.Modifiers = ""
		if c.Modifiers.Value != nil {
			a.Modifiers = *c.Modifiers.Value
		}
	}
	c.StartDate.Apply(&a.StartDate)
	c.EndDate.Apply(&a.EndDate)
	c.Status.Apply(&a.Decision)
	c.Notes.Apply(&a.Notes)
	if c.Caps.Given {
		a.Caps, _ = c.caps() // its field errors were reported before
	}
	if a.EndDate.Before(a.StartDate) {
		return a, fault.InvalidFields(fieldDatesOrder)
	}
	return a, nil
}

func (a Authorization) sameTerms(b Authorization) bool {
	return equal(a.InsuranceID, b.InsuranceID) && equal(a.AuthNumber, b.AuthNumber) && a.Modifiers == b.Modifiers &&
		equal(a.Notes, b.Notes) && a.Caps.equal(b.Caps) && a.StartDate == b.StartDate &&
		a.EndDate == b.EndDate && a.Decision == b.Decision
}
