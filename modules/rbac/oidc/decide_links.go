package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
)

// IdentityProvider is the OpenID Connect provider through which people of an organization sign
// in.
type IdentityProvider struct {
	OrganizationID uuid.UUID
	Issuer         string // its exact issuer, an https URL
	ClientID       string // its id for this program
	Version        int    // counts every change, starting with 1
	CreatedAt      time.Time
	UpdatedAt      time.Time

	sealedSecret []byte
	setBy        *uuid.UUID // user who chose issuer and client; nil: unknown
}

// isSame reports whether the other has the same issuer and client; then links and sessions
// continue.
func (p IdentityProvider) isSame(other IdentityProvider) bool {
	return p.Issuer == other.Issuer && p.ClientID == other.ClientID
}

// LinkRequest is the first sign-in of an existing account through the organization's identity
// provider. The account's owner or a second administrator must confirm that the provider means this
// account.
type LinkRequest struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	Issuer         string
	Subject        string // the provider's name for the person
	UserID         uuid.UUID
	RequestedAt    time.Time
	ExpiresAt      time.Time
	CodeHash       []byte     // SHA-256 of the code of the last sign-in; nil: used up
	Challenge      *string    // of that code, see [SignIns.Begin]
	CodeExpiresAt  *time.Time // of that code
}

// TableName names the table for gorm.
func (LinkRequest) TableName() string { return "provider_link_requests" }

// decideConfirmation returns [ErrLinkNeedsAnother] unless the confirmer is a second person.
func decideConfirmation(confirmer uuid.UUID, p IdentityProvider, u rbac.User) error {
	switch {
	case confirmer == u.ID:
		return ErrLinkNeedsAnother.With(nil, "This is your own account. Sign in with the identity provider again and "+
			"confirm with your password, or ask another administrator.")
	case p.setBy == nil:
		return ErrLinkNeedsAnother.With(nil, "It is not known who set up the identity provider. "+
			"Save its settings again, then another administrator can confirm.")
	case confirmer == *p.setBy:
		return ErrLinkNeedsAnother.With(nil, "You set up this identity provider yourself. "+
			"Ask another administrator, or have the owner of the account confirm with the account's password.")
	}
	return nil
}

// refusalReason returns why an identity provider may not sign the user in, "" if it may. An
// organization's administrators choose its provider, which could claim to recognize any user. So it
// never signs in users with permissions beyond the organization.
func refusalReason(u rbac.User) string {
	if u.RefusalReason() == "" && slices.Contains(u.Roles, rbac.SuperAdmin) {
		return "super-admin"
	}
	return u.RefusalReason()
}

// CodeExchange is the request of a page after a sign-in with an identity provider.
type CodeExchange struct {
	Code     string
	Verifier string // its SHA-256 is the challenge of [SignIns.Begin]
	// Password and SecondFactorCode are the account's. They confirm the first sign-in of an account
	// through the provider, and are ignored otherwise.
	Password         string
	SecondFactorCode string
}

// hasVerifier reports whether the verifier belongs to the challenge.
func (x CodeExchange) hasVerifier(challenge string) bool {
	sum := sha256.Sum256([]byte(x.Verifier))
	computed := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(computed), []byte(challenge)) == 1
}

// organization returns the organization that the code names, and the hash of the code.
func (x CodeExchange) organization() (organization uuid.UUID, hash [sha256.Size]byte, ok bool) {
	const length = 22 // base64 of 16 bytes
	if len(x.Code) <= length {
		return uuid.Nil, hash, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(x.Code[:length])
	if err != nil {
		return uuid.Nil, hash, false
	}
	organization, err = uuid.FromBytes(raw)
	return organization, sha256.Sum256([]byte(x.Code[length:])), err == nil && organization != uuid.Nil
}
