package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
)

// claimsSince is the first day of the demo's rates and diagnoses.
var claimsSince = calendar.NewDate(2023, time.January, 1)

// centsPerUnit are the rates of all payers. The other services have none, so their claim lines are
// blocked.
var centsPerUnit = map[string]int{"97153": 1625, "97154": 825, "97155": 3150, "97156": 3150}

// claimData enters the data that claims need.
func (p Practice) claimData(own context.Context, coverage []coverage, codes map[string]uuid.UUID) error {
	_, err := p.Directory.SetBillingIdentity(own, directory.BillingIdentityChange{
		BillingIdentityFields: directory.BillingIdentityFields{
			NPI: new("1234567893"), TaxID: new("123456789"), TaxonomyCode: new("261QM0850X"),
			Address: &directory.PostalAddressBody{
				Line1: "1 Main Street", City: "New York", State: "NY", Zip: "100010001",
			},
			SubmitterID: new("DEMO01"), ContactName: new("Bill Biller"), ContactPhone: new("2125550100"),
			ReceiverID: new("CLEARING"), ReceiverName: new("Demo Clearinghouse"),
		},
	})
	if err != nil {
		return err
	}
	for _, c := range coverage {
		_, err := p.Directory.CreateDiagnosis(own,
			directory.NewDiagnosis{PatientID: c.patient, Code: "F84.0", StartsOn: claimsSince})
		if err != nil {
			return err
		}
	}
	all, err := p.Directory.Payers(own, directory.Page{Limit: len(payers)})
	if err != nil {
		return err
	}
	for _, payer := range all {
		for code, cents := range centsPerUnit {
			_, err := p.Directory.CreateRate(own, directory.NewRate{
				PayerID: payer.ID, ServiceCodeID: codes[code], StartsOn: claimsSince, CentsPerUnit: cents,
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// npi returns the n-th National Provider Identifier of the demo.
func npi(n int) *string {
	for last := range 10 {
		if number := fmt.Sprintf("1%08d%d", 20000000+n, last); directory.ValidNPI(number) {
			return &number
		}
	}
	panic("demo: one of ten check digits is valid")
}

// findClaimData finds a diagnosis and a rate.
func (f *finder) findClaimData() error {
	diagnoses, err := f.Directory.Diagnoses(f.ctx, directory.DiagnosisFilter{Page: directory.Page{Limit: 1}})
	if err != nil {
		return err
	}
	for _, d := range diagnoses {
		f.id("/diagnoses", "", d.ID)
	}
	rates, err := f.Directory.Rates(f.ctx, directory.RateFilter{Page: directory.Page{Limit: 1}})
	for _, r := range rates {
		f.id("/rates", "", r.ID)
	}
	today := calendar.DateIn(f.Now, time.UTC)
	for _, operation := range []string{"listBillingLines", "reconcileBilling"} {
		f.parameter(operation, "from", today.AddDays(-30).String())
		f.parameter(operation, "to", today.String())
	}
	f.body("createRate", map[string]any{"startsOn": today.AddDays(1).String()})
	f.body("createDiagnosis", map[string]any{"code": "F90.2"})
	return err
}
