package rbac

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// The refusals of guardians.
var (
	// ErrNotFamily: only who holds the role PATIENT is a patient or guardian.
	ErrNotFamily = fault.Define(fault.Conflict, "user-not-family", "The user does not have the role PATIENT.").
			Advising("Give the user the role first.")
	// ErrSelfTaken: one user is one patient at most.
	ErrSelfTaken = fault.Define(fault.Conflict, "user-is-patient", "The user is another patient already.").
			Advising("Take that patient away first, or give the relation GUARDIAN.")
	// ErrNotGuardian: the user may not see this patient.
	ErrNotGuardian = fault.Define(fault.NotFound, "guardianship-not-found", "The patient is not one of this user's.")
)

// Relation says what a user is to a patient.
type Relation string

// The relations.
const (
	RelationSelf     Relation = "SELF"
	RelationGuardian Relation = "GUARDIAN"
)

// Guardianship lets a user with the role PATIENT see the records of a patient.
type Guardianship struct {
	OrganizationID uuid.UUID `json:"-"`
	UserID         uuid.UUID `json:"userId"`
	PatientID      uuid.UUID `json:"patientId"`
	Relation       Relation  `json:"relation"` // SELF: the user is the patient; GUARDIAN
	GrantedAt      time.Time `json:"grantedAt"`
	GrantedBy      uuid.UUID `json:"grantedBy"` // a user
}

// guardianTold is what the trail keeps of a guardianship.
type guardianTold struct {
	Relation Relation `json:"relation"`
}

// PatientsOf returns whose records the user may see as a patient or guardian, in the
// order of the patients' ids. The error is [ErrUserNotFound].
func (s *Service) PatientsOf(ctx context.Context, user uuid.UUID) ([]Guardianship, error) {
	return db.Snapshot(ctx, s.database, "guardian.get", func(ctx context.Context) ([]Guardianship, error) {
		if _, err := userOf(ctx, user); err != nil {
			return nil, err
		}
		found, err := patientsOf(ctx, user)
		for _, g := range found {
			trail.Show(ctx, trail.Subject{Type: subjectGuardian, ID: user, PatientID: g.PatientID})
		}
		return found, err
	})
}

// Entrust lets a user see the records of a patient, or changes what they are to the
// patient. Errors: [ErrUserNotFound], [ErrNotFamily], [ErrSelfTaken], [fault.ErrInvalid]
// where there is no such patient, [ErrBeyondOwn] for callers who may not read all
// patients.
func (s *Service) Entrust(ctx context.Context, user, patient uuid.UUID, relation Relation) (Guardianship, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Guardianship{}, err
	}
	given := Guardianship{
		OrganizationID: caller.OrganizationID, UserID: user, PatientID: patient, Relation: relation, GrantedAt: s.now(), GrantedBy: caller.UserID,
	}
	// Without [db.ProvenBy]: it can be sent again when nobody knows whether it was committed.
	return db.Serializable(ctx, s.database, "guardian.grant", func(ctx context.Context) (Guardianship, error) {
		if _, err := s.callerHolds(ctx, guardianChange); err != nil {
			return Guardianship{}, err
		}
		who, err := userOf(ctx, user)
		if err != nil {
			return Guardianship{}, err
		}
		if err := s.mayOpen(ctx, guardianChange, who.Roles, identity.Child); err != nil {
			return Guardianship{}, err
		}
		if !slices.Contains(who.Roles, Patient) {
			return Guardianship{}, ErrNotFamily
		}
		there, err := guardianshipOf(ctx, user, patient)
		if err != nil || there != nil && there.Relation == relation {
			return deref(there), err
		}
		if err := saveGuardianship(ctx, given); err != nil {
			return Guardianship{}, err
		}
		e := trail.Event{
			Action: "guardian.grant", SubjectType: subjectGuardian, SubjectID: user, PatientID: &patient, OccurredAt: given.GrantedAt,
			After: guardianTold{relation},
		}
		if there != nil {
			e.Before = guardianTold{there.Relation}
		}
		return given, s.recordReach(ctx, e)
	})
}

// Withhold takes the records of a patient from a user. The error is [ErrNotGuardian].
func (s *Service) Withhold(ctx context.Context, user, patient uuid.UUID) error {
	_, err := db.Serializable(ctx, s.database, "guardian.revoke", func(ctx context.Context) (struct{}, error) {
		if _, err := s.callerHolds(ctx, guardianChange); err != nil {
			return struct{}{}, err
		}
		gone, err := deleteGuardianship(ctx, user, patient)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordReach(ctx, trail.Event{
			Action: "guardian.revoke", SubjectType: subjectGuardian, SubjectID: user, PatientID: &patient, OccurredAt: s.now(),
			Before: guardianTold{gone.Relation},
		})
	})
	return err
}
