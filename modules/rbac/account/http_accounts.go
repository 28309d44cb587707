package account

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
)

// AccountBody is a user as administrators see them.
type AccountBody struct { //nolint:revive // the API names the schema after it
	ID             uuid.UUID   `json:"id"`
	OrganizationID uuid.UUID   `json:"organizationId"`
	Email          string      `json:"email"`    // The e-mail address of the user, in lower case.
	Name           string      `json:"name"`     // The full name of the user.
	Roles          []rbac.Role `json:"roles"`    // The roles that the user holds.
	Disabled       bool        `json:"disabled"` // Whether the user cannot sign in.
	// The user's practitioner in the directory. It is null if the user is not a practitioner.
	PractitionerID *uuid.UUID `json:"practitionerId"`
	SecondFactor   bool       `json:"secondFactor"` // Whether a sign-in with a password requires a code.
	Version        int        `json:"version"`      // The number of changes, starting with 1.
	CreatedAt      time.Time  `json:"createdAt"`    // The time at which the user was created.
	UpdatedAt      time.Time  `json:"updatedAt"`    // The time of the last change.
	accountReferences
}

// Revision returns the version, which the API returns as ETag.
func (b AccountBody) Revision() int { return b.Version }

// Location returns the path of the user.
func (b AccountBody) Location() string { return rbac.BasePath + "/users/" + b.ID.String() }

// Body returns a user in the API.
func Body(u rbac.User) AccountBody {
	return AccountBody{
		ID: u.ID, OrganizationID: u.OrganizationID, Email: u.Email, Name: u.Name, Roles: u.Roles, Disabled: u.Disabled,
		PractitionerID: u.PractitionerID, SecondFactor: u.SecondFactor, Version: u.Version,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
}
