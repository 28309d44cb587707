package emergency

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// Take gives the caller a grant, effective immediately and without approval. The error is
// [fault.ErrInvalid] for an invalid field, including an unknown patient.
func (s *Service) Take(ctx context.Context, n NewGrant) (Grant, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Grant{}, err
	}
	if err := n.normalize(); err != nil {
		return Grant{}, err
	}
	now := s.now()
	grant := Grant{
		OrganizationID: caller.OrganizationID, ID: s.newID(), UserID: caller.UserID, PatientID: n.PatientID,
		Reason: n.Reason, GrantedAt: now, ExpiresAt: now.Add(n.Duration),
	}
	stored := func(ctx context.Context) (bool, error) { return s.store.exists(ctx, grant.ID) }
	return db.Serializable(ctx, s.database, "emergency.take", func(ctx context.Context) (Grant, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if exists, err := stored(ctx); exists || err != nil {
				return grant, err
			}
		}
		if err := s.store.insert(ctx, grant); err != nil {
			return Grant{}, err
		}
		return grant, s.publish(ctx, caller, EventTaken, grant, now)
	}, db.ProvenBy(stored))
}

// Filter narrows a list of grants. Zero values match every grant.
type Filter struct {
	PatientID uuid.UUID
	UserID    uuid.UUID
	Reviewed  *bool // false: grants that still need a review
	Open      *bool
	Page      db.Keyset
}

// Grants lists grants within the caller's record scope.
func (s *Service) Grants(ctx context.Context, f Filter) ([]Grant, error) {
	return db.Snapshot(ctx, s.database, "emergency.list", func(ctx context.Context) ([]Grant, error) {
		return s.store.list(ctx, f, s.now())
	})
}

// Grant returns a grant within the caller's record scope. The error is [ErrNotFound].
func (s *Service) Grant(ctx context.Context, id uuid.UUID) (Grant, error) {
	return db.Snapshot(ctx, s.database, "emergency.get", func(ctx context.Context) (Grant, error) {
		g, err := s.store.get(ctx, id)
		if err == nil {
			show(ctx, g)
		}
		return g, err
	})
}

func show(ctx context.Context, all ...Grant) {
	for _, g := range all {
		trail.Show(ctx, trail.Subject{Type: subjectType, ID: g.ID, PatientID: g.PatientID})
	}
}

// Open returns the patient of a grant. The error is [ErrNotOpen] unless the grant is the caller's
// own and applies now.
func (s *Service) Open(ctx context.Context, id uuid.UUID) (uuid.UUID, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	now := s.now()
	return db.Snapshot(ctx, s.database, "emergency.open", func(ctx context.Context) (uuid.UUID, error) {
		return s.store.open(ctx, id, caller.UserID, now)
	})
}

// Revoke ends a grant early. Errors: [ErrNotFound], [ErrOver].
func (s *Service) Revoke(ctx context.Context, id uuid.UUID) (Grant, error) {
	return s.change(ctx, id, EventRevoked, func(caller identity.Caller, g *Grant, now time.Time) error {
		if !g.OpenAt(now) {
			return ErrOver
		}
		g.RevokedAt, g.RevokedBy = &now, &caller.UserID
		return nil
	})
}

// Review stores whether a grant was justified, after its end. Errors: [ErrNotFound],
// [ErrOwnReview], [ErrStillOpen], [ErrReviewed].
func (s *Service) Review(ctx context.Context, id uuid.UUID, justified bool, note *string) (Grant, error) {
	return s.change(ctx, id, EventReviewed, func(caller identity.Caller, g *Grant, now time.Time) error {
		switch {
		case g.UserID == caller.UserID:
			return ErrOwnReview
		case g.OpenAt(now):
			return ErrStillOpen
		case g.ReviewedAt != nil:
			return ErrReviewed
		}
		g.ReviewedAt, g.ReviewedBy, g.Justified, g.ReviewNote = &now, &caller.UserID, &justified, note
		return nil
	})
}

// change decides and writes a change of a grant, then publishes and records it. An attempt that
// finds its own time stored has already been committed.
func (s *Service) change(
	ctx context.Context, id uuid.UUID, event string, decide func(caller identity.Caller, g *Grant, now time.Time) error,
) (Grant, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Grant{}, err
	}
	now := s.now()
	isChanged := func(g Grant) bool {
		return isSameReview(g.RevokedAt, g.RevokedBy, now, caller.UserID) ||
			isSameReview(g.ReviewedAt, g.ReviewedBy, now, caller.UserID)
	}
	return db.Serializable(ctx, s.database, event, func(ctx context.Context) (Grant, error) {
		g, err := s.store.get(ctx, id)
		if err != nil || db.InDoubt(ctx) && isChanged(g) {
			return g, err
		}
		if err := decide(caller, &g, now); err != nil {
			return Grant{}, err
		}
		if err := s.store.update(ctx, g); err != nil {
			return Grant{}, err
		}
		return g, s.publish(ctx, caller, event, g, now)
	}, db.ProvenBy(func(ctx context.Context) (bool, error) {
		g, err := s.store.get(ctx, id)
		return err == nil && isChanged(g), err
	}))
}
