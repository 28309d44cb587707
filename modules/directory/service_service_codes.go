package directory

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/scheduling"
)

var serviceCodes = crud[ServiceCode, *ServiceCode]{
	name: "service-code", notFound: ErrServiceCodeNotFound, valid: ServiceCode{Code: "0"},
	loadParts: store{}.loadServiceCredentials,
	saveParts: store{}.saveServiceCredentials,
	recorded:  recordedServiceCode,
}

// CreateServiceCode creates a service code. Errors: [fault.ErrInvalid], [ErrServiceCodeTaken].
func (s *Service) CreateServiceCode(ctx context.Context, n NewServiceCode) (ServiceCode, error) {
	today, err := s.today(ctx)
	if err != nil {
		return ServiceCode{}, err
	}
	created, err := serviceCodes.create(ctx, s, ServiceCode{
		Code: n.Code, Description: n.Description,
		Track:               cmp.Or(n.Track, defaultTracks[n.Code], scheduling.Direct),
		UnitMinutes:         cmp.Or(n.UnitMinutes, defaultUnitMinutes),
		RequiredCredentials: n.RequiredCredentials, SupervisedCredentials: n.SupervisedCredentials,
		Active: n.Active == nil || *n.Active, Note: n.Note.rule(),
	})
	return created.withPresentNote(today), err
}

// ServiceCode returns a service code. The error is [ErrServiceCodeNotFound].
func (s *Service) ServiceCode(ctx context.Context, id uuid.UUID) (ServiceCode, error) {
	today, err := s.today(ctx)
	if err != nil {
		return ServiceCode{}, err
	}
	found, err := serviceCodes.get(ctx, s, id)
	return found.withPresentNote(today), err
}

// ServiceCodes lists service codes.
func (s *Service) ServiceCodes(ctx context.Context, f ServiceCodeFilter) ([]ServiceCode, error) {
	today, err := s.today(ctx)
	if err != nil {
		return nil, err
	}
	found, err := serviceCodes.list(ctx, s, f.Page, equals("code", f.Code))
	for i := range found {
		found[i] = found[i].withPresentNote(today)
	}
	return found, err
}

// ChangeServiceCode changes a service code. Errors: [patch.ErrStale], [ErrServiceCodeNotFound],
// [fault.ErrInvalid], [ErrServiceCodeTaken].
func (s *Service) ChangeServiceCode(ctx context.Context, c ServiceCodeChange) (ServiceCode, error) {
	today, err := s.today(ctx)
	if err != nil {
		return ServiceCode{}, err
	}
	changed, err := serviceCodes.change(ctx, s, c.ID, c.Match, func(code *ServiceCode) {
		c.Code.Apply(&code.Code)
		c.Description.Apply(&code.Description)
		c.Track.Apply(&code.Track)
		c.UnitMinutes.Apply(&code.UnitMinutes)
		c.RequiredCredentials.Apply(&code.RequiredCredentials)
		c.SupervisedCredentials.Apply(&code.SupervisedCredentials)
		c.Active.Apply(&code.Active)
		if c.Note.Given {
			code.changeNote(c.Note.Value.rule(), today)
		}
	})
	return changed.withPresentNote(today), err
}

// NoteRules returns the rules for notes of the caller's organization, by service code and in order of their first
// days. It omits services that have never required a note.
func (s *Service) NoteRules(ctx context.Context) (db.Reading[map[uuid.UUID][]scheduling.DatedNoteRule], error) {
	var found []ServiceCode
	q, err := s.store.withNoteRules(ctx, &found)
	return db.Reading[map[uuid.UUID][]scheduling.DatedNoteRule]{
		Queries: []db.Query{q},
		Value: func(context.Context) (map[uuid.UUID][]scheduling.DatedNoteRule, error) {
			rules := make(map[uuid.UUID][]scheduling.DatedNoteRule, len(found))
			for _, code := range found {
				rules[code.ID] = code.noteRules()
			}
			return rules, nil
		},
	}, err
}
