package authorization

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/reference"
)

// TermsService creates, changes and returns authorizations.
type TermsService struct{ *commands }

// Create creates an authorization and returns it. The error is [fault.ErrInvalid] if a field is
// invalid.
func (s *TermsService) Create(ctx context.Context, n NewAuthorization) (View, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return View{}, err
	}
	if n.Status == "" {
		n.Status = Active
	}
	caps, err := n.check()
	if err != nil {
		return View{}, err
	}
	id := s.NewID()
	exists := func(ctx context.Context) (bool, error) { return s.store.exists(ctx, id) }
	return db.Serializable(ctx, s.Database, "authorization.create", func(ctx context.Context) (View, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have created it; see db.ProvenBy
			if done, err := exists(ctx); err != nil || done {
				v, getErr := s.Get(ctx, id)
				return v, errors.Join(err, getErr)
			}
		}
		at, err := s.moment(ctx, caller.OrganizationID)
		if err != nil {
			return View{}, err
		}
		if err := s.Directory.CheckReferences(ctx, n.PatientID, n.ServiceCodeID, n.InsuranceID); err != nil {
			return View{}, err
		}
		a := Authorization{
			OrganizationID: caller.OrganizationID,
			ID:             id,
			PatientID:      n.PatientID,
			InsuranceID:    n.InsuranceID,
			ServiceCodeID:  n.ServiceCodeID,
			AuthNumber:     n.AuthNumber,
			Modifiers:      n.Modifiers,
			Balance:        Balance{Total: n.TotalUnits},
			Caps:           caps,
			UnitsByDate:    caps.noUnits(),
			StartDate:      n.StartDate,
			EndDate:        n.EndDate,
			Decision:       n.Status,
			Notes:          n.Notes,
			Version:        1,
			InitialUnits:   n.TotalUnits,
			LastHash:       genesis(caller.OrganizationID, id, n.TotalUnits),
			CreatedAt:      at.Now,
			UpdatedAt:      at.Now,
		}
		if err := s.store.insert(ctx, &a); err != nil {
			return View{}, err
		}
		return a.viewOn(at.Today), s.recordTerms(ctx, "create", nil, &a, nil, at.Now)
	}, db.ProvenBy(exists))
}

// Get returns an authorization. The error is [ErrNotFound].
func (s *TermsService) Get(ctx context.Context, id uuid.UUID) (View, error) {
	return read(ctx, s.base, "authorization.get", func(ctx context.Context, at Moment) (View, error) {
		a, err := s.store.current(ctx, id, at.Now)
		if err == nil {
			show(ctx, a.ID, a.PatientID)
		}
		return a.viewOn(at.Today), err
	})
}

// Several returns the authorizations of the ids that the caller may read, and records them as shown.
func (s *TermsService) Several(ctx context.Context, ids []uuid.UUID) ([]View, error) {
	return read(ctx, s.base, "authorization.several", func(ctx context.Context, at Moment) ([]View, error) {
		found, err := s.store.scopedByID(ctx, ids, at.Now)
		views := make([]View, len(found))
		for i, a := range found {
			views[i] = a.viewOn(at.Today)
			show(ctx, a.ID, a.PatientID)
		}
		return views, err
	})
}

// Texts returns a reading of the numbers, payers and available units of authorizations that the caller may read, in the
// transaction of the context.
func (s *TermsService) Texts(ctx context.Context, ids []uuid.UUID) (db.Reading[reference.Texts], error) {
	var rows []textRow
	q, insurances, err := s.store.texts(ctx, ids, s.now(), &rows)
	if err != nil {
		return db.Reading[reference.Texts]{}, err
	}
	payers, err := s.Directory.PayerNamesOf(ctx, insurances)
	return db.Reading[reference.Texts]{
		Queries: append([]db.Query{q}, payers.Queries...),
		Value: func(ctx context.Context) (reference.Texts, error) {
			names, err := payers.Value(ctx)
			found := make(reference.Texts, len(rows))
			for _, r := range rows {
				text := &httpx.RecordText{AvailableUnits: &r.AvailableUnits}
				if r.AuthNumber != nil {
					text.Text = *r.AuthNumber
				}
				if r.InsuranceID != nil {
					text.Payer = names[*r.InsuranceID]
				}
				found[r.ID] = text
			}
			return found, err
		},
	}, err
}

// List returns the authorizations that match the filter, in the order of creation unless the
// filter's page sets another.
func (s *TermsService) List(ctx context.Context, f Filter) ([]View, error) {
	return read(ctx, s.base, "authorization.list", func(ctx context.Context, at Moment) ([]View, error) {
		found, err := s.list(ctx, f, at)
		views := make([]View, len(found))
		for i, a := range found {
			views[i] = a.viewOn(at.Today)
		}
		return views, err
	})
}

func (s *TermsService) list(ctx context.Context, f Filter, at Moment) ([]Authorization, error) {
	if err := s.ofPayer(ctx, &f); err != nil {
		return nil, err
	}
	return s.store.list(ctx, f, at)
}

// ofPayer resolves the filter's payer to its insurances.
func (s *TermsService) ofPayer(ctx context.Context, f *Filter) error {
	if f.PayerID == uuid.Nil {
		return nil
	}
	found, err := s.Directory.InsurancesOf(ctx, f.PayerID)
	f.insurances = append([]uuid.UUID{}, found...) // never nil: a payer without insurances has no authorizations
	return err
}
