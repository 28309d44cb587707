package directory

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/scheduling"
	"omnirapeutic/platform/trail"
)

// recordedFields are the fields of a record in the audit trail, by their names in the API.
type recordedFields map[string]recordedField

// recordedField is a field in the audit trail. Of a personal one the trail stores only that it
// has changed.
type recordedField struct {
	value    any
	personal bool
}

// plain returns a field whose value the audit trail stores.
func plain(value any) recordedField { return recordedField{value, false} }

// personal returns a field whose value the audit trail does not store.
func personal(value any) recordedField { return recordedField{value, true} }

// recordEvent records that a record was created (before is nil) or changed.
func recordEvent(
	ctx context.Context, s *Service, name string, patient *uuid.UUID, before, after recordedFields, head Record,
) error {
	e := eventBy(ctx, head.OrganizationID)
	e.Action, e.SubjectType, e.SubjectID, e.PatientID, e.OccurredAt = name+".create", name, head.ID, patient,
		head.UpdatedAt
	if before == nil {
		e.After = after.values(slices.Collect(maps.Keys(after)), head.Version)
		return s.audit.Record(ctx, []trail.Event{e})
	}
	e.Action = name + ".change"
	changed := slices.DeleteFunc(slices.Sorted(maps.Keys(after)), func(field string) bool {
		return reflect.DeepEqual(before[field], after[field])
	})
	values := after.values(changed, head.Version)
	values["changed"] = changed
	e.Before, e.After = before.values(changed, head.Version-1), values // each change increments the version
	return s.audit.Record(ctx, []trail.Event{e})
}

// values returns the version and the stored values of the named fields.
func (f recordedFields) values(names []string, version int) map[string]any {
	values := map[string]any{"version": version}
	for _, name := range names {
		if !f[name].personal {
			values[name] = f[name].value
		}
	}
	return values
}

// eventBy returns an event in an organization, whose actor is the caller or, without one, the program.
func eventBy(ctx context.Context, organization uuid.UUID) trail.Event {
	caller, err := identity.From(ctx)
	if err != nil {
		caller = identity.System(organization)
	}
	e := trail.By(caller)
	e.OrganizationID = organization
	return e
}

// recordOrganization records that an organization was created (before is nil) or changed.
func (s *Service) recordOrganization(ctx context.Context, before, after *Organization, now time.Time) error {
	var previous recordedFields
	if before != nil {
		previous = recordedOrganization(*before)
	}
	head := Record{ID: after.ID, OrganizationID: after.ID, Version: after.Version, UpdatedAt: now}
	return recordEvent(ctx, s, "organization", nil, previous, recordedOrganization(*after), head)
}

func recordedOrganization(o Organization) recordedFields {
	return recordedFields{
		"name": plain(o.Name), "timeZone": plain(o.TimeZone), "lateCancelHours": plain(o.LateCancelHours),
		"noShowConsumes":    plain(o.NoShowConsumes),
		"earlyStartMinutes": plain(o.EarlyStartMinutes), "confirmLengthFactor": plain(o.ConfirmLengthFactor),
		"disabled": plain(o.Disabled),
	}
}

func recordedPatient(p Patient) recordedFields {
	return recordedFields{
		"firstName": personal(p.FirstName), "lastName": personal(p.LastName), "dateOfBirth": personal(p.DateOfBirth),
		"medicalRecordNumber": personal(p.MedicalRecordNumber), "status": plain(p.Status),
		"sex": personal(p.Sex), "address": personal(p.Address),
	}
}

func recordedPractitioner(p Practitioner) recordedFields {
	credentials := make([]recordedCredential, len(p.Credentials))
	for i, c := range p.Credentials {
		credentials[i] = recordedCredential(c)
	}
	return recordedFields{
		"firstName": personal(p.FirstName), "lastName": personal(p.LastName),
		"licenseNumber": personal(p.LicenseNumber), "npi": personal(p.NPI),
		"credentials": plain(credentials), "status": plain(p.Status), "taxonomyCode": plain(p.TaxonomyCode),
	}
}

// recordedCredential is a credential in the audit trail.
type recordedCredential struct {
	Code      string        `json:"code"`
	ExpiresOn calendar.Date `json:"expiresOn"`
}

func recordedPayer(p Payer) recordedFields {
	rules := make([]recordedRoundingRule, len(p.RoundingRules))
	for i, r := range p.RoundingRules {
		rules[i] = recordedRoundingRule(r)
	}
	return recordedFields{
		"name": plain(p.Name), "payerCode": plain(p.PayerCode), "rounding": plain(p.Rounding),
		"roundingRules": plain(rules), "modifierRules": plain(p.ModifierRules),
		"modifierRuleChanges": plain(p.ModifierRuleChanges), "noShowRules": plain(p.NoShowRules),
		"weekStartsOn":    plain(p.WeekStartsOn),
		"claimFilingCode": plain(p.ClaimFilingCode), "supervisedCredentials": plain(p.SupervisedCredentials),
	}
}

// recordedRoundingRule is a rounding rule in the audit trail.
type recordedRoundingRule struct {
	StartsOn calendar.Date       `json:"startsOn"`
	Method   scheduling.Rounding `json:"method"`
	Basis    scheduling.Basis    `json:"basis"`
}

func recordedInsurance(i Insurance) recordedFields {
	return recordedFields{
		"patientId": personal(i.PatientID), "payerId": plain(i.PayerID), "memberNumber": personal(i.MemberNumber),
		"startsOn": plain(i.StartsOn), "endsOn": plain(i.EndsOn), "relationship": plain(i.Relationship),
		"subscriberFirstName": personal(i.SubscriberFirstName), "subscriberLastName": personal(i.SubscriberLastName),
	}
}

func recordedServiceCode(c ServiceCode) recordedFields {
	return recordedFields{
		"code": plain(c.Code), "description": plain(c.Description), "lane": plain(c.Track),
		"unitMinutes": plain(c.UnitMinutes), "requiredCredentials": plain(c.RequiredCredentials), "active": plain(c.Active),
		"note": plain(recordedNoteRuleOf(c.Note)), "noteChanges": plain(recordedNoteChangesOf(c.NoteChanges)),
		"supervisedCredentials": plain(c.SupervisedCredentials),
	}
}

func recordedLocation(l Location) recordedFields {
	return recordedFields{
		"name": personal(l.Name), "kind": plain(l.Kind), "placeOfService": plain(l.PlaceOfService),
		"timeZone": plain(l.TimeZone), "address": personal(l.Address), "latitude": personal(l.Latitude),
		"longitude": personal(l.Longitude), "active": plain(l.Active),
	}
}

func recordedCancellationReason(r CancellationReason) recordedFields {
	return recordedFields{
		"code": plain(r.Code), "name": plain(r.Name), "party": plain(r.Party), "active": plain(r.Active),
	}
}

// recordedNoteRule is the requirements for notes in the audit trail.
type recordedNoteRule struct {
	MinLength int                      `json:"minLength"`
	Sections  []scheduling.NoteSection `json:"sections"`
	Signers   []scheduling.Signer      `json:"signers"`
	DueHours  *int                     `json:"dueHours"`
	StartsOn  calendar.Date            `json:"startsOn"`
}

func recordedNoteRuleOf(r *scheduling.NoteRule) *recordedNoteRule {
	if r == nil {
		return nil
	}
	return new(recordedNoteRule(*r))
}

// recordedNoteChange is a change of the requirements for notes in the audit trail.
type recordedNoteChange struct {
	StartsOn calendar.Date     `json:"startsOn"`
	Note     *recordedNoteRule `json:"note"`
}

func recordedNoteChangesOf(changes []scheduling.DatedNoteRule) []recordedNoteChange {
	recorded := make([]recordedNoteChange, len(changes))
	for i, c := range changes {
		recorded[i] = recordedNoteChange{c.StartsOn, recordedNoteRuleOf(c.Rule)}
	}
	return recorded
}

// recordedPairs are an organization's service pairs in the audit trail.
type recordedPairs struct {
	Pairs   []recordedPair `json:"pairs"`
	Version int            `json:"version"`
}

type recordedPair struct {
	Code      string `json:"code"`
	OtherCode string `json:"otherCode"`
}

func recordedServicePairs(all ServicePairs) recordedPairs {
	recorded := recordedPairs{make([]recordedPair, len(all.Pairs)), all.Version}
	for i, p := range all.Pairs {
		recorded.Pairs[i] = recordedPair(p)
	}
	return recorded
}

// recordPairs records the pairs before and after a change.
func (s *Service) recordPairs(ctx context.Context, before, after ServicePairs) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = "service-pairs.change", "organization", caller.OrganizationID,
		s.now()
	e.Before, e.After = recordedServicePairs(before), recordedServicePairs(after)
	return s.audit.Record(ctx, []trail.Event{e})
}

func recordedDiagnosis(d Diagnosis) recordedFields {
	return recordedFields{
		"patientId": personal(d.PatientID), "code": personal(d.Code), "rank": plain(d.Rank), "startsOn": personal(d.StartsOn),
		"endsOn": personal(d.EndsOn),
	}
}

func recordedRate(r Rate) recordedFields {
	return recordedFields{
		"payerId": plain(r.PayerID), "serviceCodeId": plain(r.ServiceCodeID), "startsOn": plain(r.StartsOn),
		"centsPerUnit": plain(r.CentsPerUnit),
	}
}

func recordedBillingIdentity(b BillingIdentity) recordedFields {
	return recordedFields{
		"npi": plain(b.NPI), "taxId": plain(b.TaxID), "taxonomyCode": plain(b.TaxonomyCode), "address": plain(b.Address),
		"submitterId": plain(b.SubmitterID), "contactName": personal(b.ContactName), "contactPhone": personal(b.ContactPhone),
		"receiverId": plain(b.ReceiverID), "receiverName": plain(b.ReceiverName),
	}
}
