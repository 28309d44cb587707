package directory

import (
	"time"

	"github.com/google/uuid"
)

// BillingIdentity describes an organization as the billing provider and the submitter of claims. Nil
// and zero values are unknown.
type BillingIdentity struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	NPI            *string   `gorm:"column:npi"` // of the organization
	TaxID          *string   // the employer identification number, nine digits
	TaxonomyCode   *string
	Address        PostalAddress `gorm:"embedded;embeddedPrefix:address_"` // its ZIP code has nine digits
	SubmitterID    *string       // assigned by the receiver
	ContactName    *string       // the person to ask about files
	ContactPhone   *string
	ReceiverID     *string // the clearinghouse or payer that receives the files
	ReceiverName   *string
	Version        int
	UpdatedAt      time.Time
}

// TableName returns the table name for gorm.
func (BillingIdentity) TableName() string { return "billing_identities" }
