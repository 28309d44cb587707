package directory

import (
	"context"
	"net/http"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

func (s *Service) billingIdentityRoutes() []httpx.Route {
	return []httpx.Route{
		route("getBillingIdentity", http.MethodGet, "/billing-identity", permission.OrganizationRead,
			httpx.Handle(http.StatusOK, s.handleBillingIdentity),
			"Get the billing identity", "The identifiers and the address of the organization as billing provider and as "+
				"submitter of claims. Unknown values are null."),
		route("setBillingIdentity", http.MethodPut, "/billing-identity", permission.OrganizationChange,
			handle(http.StatusOK, s.SetBillingIdentity, billingIdentityBodyOf),
			"Set the billing identity", "Replaces all values. Claim lines are blocked until all of them are known."),
	}
}

// BillingIdentityFields are the values of a billing identity.
type BillingIdentityFields struct {
	// The National Provider Identifier of the organization.
	NPI *string `json:"npi"`
	// The employer identification number: nine digits.
	TaxID *string `json:"taxId"`
	// The code of the provider taxonomy, such as 261QM0850X.
	TaxonomyCode *string `json:"taxonomyCode"`
	// The address of the billing provider. Its ZIP code has nine digits.
	Address *PostalAddressBody `json:"address"`
	// The id of the organization as a submitter of files, assigned by the receiver.
	SubmitterID *string `json:"submitterId" validate:"omitempty,min=2,max=15,text"`
	// The person to ask about files.
	ContactName *string `json:"contactName" validate:"omitempty,max=60,text"`
	// The telephone number of that person: ten digits.
	ContactPhone *string `json:"contactPhone" validate:"omitempty,len=10,number"`
	// The id of the clearinghouse or payer that receives the files.
	ReceiverID *string `json:"receiverId" validate:"omitempty,min=2,max=15,text"`
	// The name of the receiver.
	ReceiverName *string `json:"receiverName" validate:"omitempty,max=60,text"`
}

// BillingIdentityChange replaces the billing identity of an organization.
type BillingIdentityChange struct {
	Match patch.Match `header:"If-Match"`
	BillingIdentityFields
}

func (c BillingIdentityChange) identity() BillingIdentity {
	return BillingIdentity{
		NPI: c.NPI, TaxID: c.TaxID, TaxonomyCode: c.TaxonomyCode, Address: postalAddressOf(c.Address), SubmitterID: c.SubmitterID,
		ContactName: c.ContactName, ContactPhone: c.ContactPhone, ReceiverID: c.ReceiverID, ReceiverName: c.ReceiverName,
	}
}

// billingIdentityBody is an organization as billing provider and submitter of claims.
type billingIdentityBody struct {
	BillingIdentityFields
	Version int `json:"version"`
}

// Revision returns the version, which the API returns as ETag.
func (b billingIdentityBody) Revision() int { return b.Version }

func billingIdentityBodyOf(b BillingIdentity) billingIdentityBody {
	return billingIdentityBody{BillingIdentityFields{
		b.NPI, b.TaxID, b.TaxonomyCode, postalAddressBodyOf(b.Address), b.SubmitterID, b.ContactName, b.ContactPhone, b.ReceiverID,
		b.ReceiverName,
	}, b.Version}
}

func (s *Service) handleBillingIdentity(ctx context.Context, _ httpx.None) (billingIdentityBody, error) {
	found, err := s.BillingIdentity(ctx)
	return billingIdentityBodyOf(found), err
}
