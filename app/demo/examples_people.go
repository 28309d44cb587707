package demo

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/emergency"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/invitation"
	"omnirapeutic/platform/db"
)

// findDirectory finds a patient, a payer, a coverage and service codes.
func (f *finder) findDirectory() (err error) {
	f.patients, err = f.Directory.Patients(f.ctx, directory.PatientFilter{Page: directory.Page{Limit: 4}})
	if err != nil || len(f.patients) == 0 {
		return err
	}
	patient := f.patients[0].ID
	f.id("/patients", "patientId", patient)
	payers, err := f.Directory.Payers(f.ctx, directory.Page{Limit: 1})
	if err != nil {
		return err
	}
	for _, payer := range payers {
		f.id("/payers", "payerId", payer.ID)
	}
	insurances, err := f.Directory.Insurances(f.ctx,
		directory.InsuranceFilter{Page: directory.Page{Limit: 1}, PatientID: patient})
	if err != nil {
		return err
	}
	for _, insurance := range insurances {
		f.id("/insurances", "insuranceId", insurance.ID)
	}
	places, err := f.Directory.Locations(f.ctx, directory.LocationFilter{Page: directory.Page{Limit: 1}})
	if err != nil {
		return err
	}
	for _, place := range places {
		f.id("/locations", "locationId", place.ID)
	}
	reasons, err := f.Directory.CancellationReasons(f.ctx,
		directory.CancellationReasonFilter{Page: directory.Page{Limit: 1}})
	if err != nil {
		return err
	}
	for _, reason := range reasons {
		f.id("/cancellation-reasons", "cancellationReasonId", reason.ID)
	}
	codes, err := f.Directory.ServiceCodes(f.ctx,
		directory.ServiceCodeFilter{Page: directory.Page{Limit: len(serviceCodes)}})
	if err != nil {
		return err
	}
	for _, code := range codes {
		switch code.Code {
		case "97153":
			f.code = code.ID
			f.id("/service-codes", "serviceCodeId", code.ID)
		case "0373T": // no appointment needs it
			f.parameter("changeServiceCode", "id", code.ID.String())
		}
	}
	return nil
}

// findUsers finds users by email address: the technician's practitioner, and the
// parent's children.
func (f *finder) findUsers() error {
	accounts, err := f.Access.Accounts.SignIns(f.ctx, Emails())
	if err != nil {
		return err
	}
	ids := map[string]uuid.UUID{}
	for _, a := range accounts {
		ids[a.Email] = a.UserID
	}
	f.id("/users", "", ids["billing@demo.test"])
	if err := f.findPractitioner(ids["rbt@demo.test"]); err != nil {
		return err
	}
	if err := f.findCaseload(); err != nil {
		return err
	}
	return f.findChildren(ids["parent@demo.test"])
}

// findPractitioner finds the user's practitioner, and another one whose hours can change.
func (f *finder) findPractitioner(user uuid.UUID) error {
	users, err := f.Access.Accounts.List(f.ctx, account.Filter{Keyset: db.Keyset{Limit: len(people)}})
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.ID == user && u.PractitionerID != nil {
			f.practitioner = *u.PractitionerID
		}
	}
	f.id("/practitioners", "practitionerId", f.practitioner)
	practitioners, err := f.Directory.Practitioners(f.ctx, directory.PractitionerFilter{Page: directory.Page{Limit: 2}})
	for _, other := range practitioners {
		if other.ID != f.practitioner {
			f.parameter("setAvailability", "id", other.ID.String())
		}
	}
	return err
}

// findCaseload finds a patient to assign to the practitioner, and one to unassign.
func (f *finder) findCaseload() error {
	assigned, err := f.Access.Users.Caseload(f.ctx, f.practitioner)
	if err != nil {
		return err
	}
	taken := map[uuid.UUID]bool{}
	for _, a := range assigned {
		taken[a.PatientID] = true
		f.parameter("unassignPatient", "patientId", a.PatientID.String())
	}
	for _, patient := range f.patients {
		if !taken[patient.ID] {
			f.body("assignPatient", map[string]any{"patientId": patient.ID.String()})
		}
	}
	return nil
}

// findChildren finds one patient to link to the parent and one to unlink.
func (f *finder) findChildren(parent uuid.UUID) error {
	if parent == uuid.Nil {
		return nil
	}
	children, err := f.Access.Users.Patients(f.ctx, parent)
	if err != nil {
		return err
	}
	for _, operation := range []string{"listUserPatients", "addUserPatient", "removeUserPatient"} {
		f.parameter(operation, "id", parent.String())
	}
	taken := map[uuid.UUID]bool{}
	for _, child := range children {
		taken[child.PatientID] = true
		f.parameter("removeUserPatient", "patientId", child.PatientID.String())
	}
	for _, patient := range f.patients {
		if !taken[patient.ID] {
			f.body("addUserPatient", map[string]any{"patientId": patient.ID.String()})
		}
	}
	return nil
}

func (f *finder) findAdministration() error {
	keys, err := f.Access.APIKeys.List(f.ctx, uuid.Nil, uuid.Nil, 1)
	if err != nil {
		return err
	}
	for _, key := range keys {
		f.id("/api-keys", "", key.ID)
	}
	webhooks, err := f.Events.Webhooks(f.ctx, uuid.Nil, 2)
	if err != nil {
		return err
	}
	for _, webhook := range webhooks {
		f.id("/admin/webhooks", "", webhooks[0].ID)
		f.parameter("deleteWebhook", "id", webhook.ID.String()) // the last one
	}
	invitations, err := f.Access.Invitations.List(f.ctx,
		invitation.Filter{Keyset: db.Keyset{Limit: 1}, State: invitation.Open})
	if err != nil {
		return err
	}
	for _, invitation := range invitations {
		f.id("/users/invitations", "", invitation.ID)
	}
	feeds, err := f.Appointments(f.Now).Feeds(f.ctx)
	if err != nil {
		return err
	}
	for _, feed := range feeds[:min(1, len(feeds))] {
		f.id("/calendar-feeds", "", feed.ID)
	}
	return f.findGrants()
}

// findGrants finds an emergency access grant to revoke, and one to review.
func (f *finder) findGrants() error {
	service := emergency.New(emergency.Dependencies{Database: f.Database, Clock: func() time.Time { return f.Now }})
	for _, open := range []bool{false, true} {
		grants, err := service.Grants(f.ctx, emergency.Filter{Page: db.Keyset{Limit: 1}, Open: &open, Reviewed: new(false)})
		if err != nil {
			return err
		}
		for _, grant := range grants {
			f.id("/emergency-grants", "", grant.ID)
			f.parameter(map[bool]string{true: "revokeEmergencyGrant", false: "reviewEmergencyGrant"}[open], "id",
				grant.ID.String())
		}
	}
	return nil
}
