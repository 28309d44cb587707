package emergency

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// NewGrant is what is told of a grant by whoever takes it.
type NewGrant struct {
	PatientID uuid.UUID
	Reason    string        // [MinReason] to [MaxReason] characters
	Duration  time.Duration // [MinDuration] to [MaxDuration]; 0: [DefaultDuration]
}

func (n *NewGrant) settle() error {
	n.Reason = strings.TrimSpace(n.Reason)
	if n.Duration == 0 {
		n.Duration = DefaultDuration
	}
	var wrong []fault.Field
	if length := utf8.RuneCountInString(n.Reason); length < MinReason || length > MaxReason {
		wrong = append(wrong, fault.Field{
			Field: "reason", Code: "range", Message: fmt.Sprintf("must have between %d and %d characters, without spaces around it", MinReason, MaxReason),
		})
	}
	if n.Duration < MinDuration || n.Duration > MaxDuration {
		wrong = append(wrong, fault.Field{
			Field: "durationMinutes", Code: "range", Message: fmt.Sprintf("must be between %d and %d", MinDuration/time.Minute, MaxDuration/time.Minute),
		})
	}
	if len(wrong) > 0 {
		return fault.InvalidFields(wrong...)
	}
	return nil
}

// Take gives the caller a grant, at once. It asks nobody: it is for emergencies, and
// on record. The error is [fault.ErrInvalid] where a field does not fit, also where
// the organization has no such patient.
func (s *Service) Take(ctx context.Context, n NewGrant) (Grant, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Grant{}, err
	}
	if err := n.settle(); err != nil {
		return Grant{}, err
	}
	now := s.now()
	taken := Grant{
		OrganizationID: caller.OrganizationID, ID: s.newID(), UserID: caller.UserID, PatientID: n.PatientID,
		Reason: n.Reason, GrantedAt: now, ExpiresAt: now.Add(n.Duration),
	}
	there := func(ctx context.Context) (bool, error) { return s.store.exists(ctx, taken.ID) }
	return db.Serializable(ctx, s.database, "emergency.take", func(ctx context.Context) (Grant, error) {
		if db.InDoubt(ctx) { // an attempt before this one may have done it: see db.ProvenBy
			if done, err := there(ctx); done || err != nil {
				return taken, err
			}
		}
		if err := s.store.insert(ctx, taken); err != nil {
			return Grant{}, err
		}
		return taken, s.tell(ctx, caller, EventTaken, taken, now)
	}, db.ProvenBy(there))
}

// Filter narrows a list of grants; zero values do not narrow it.
type Filter struct {
	PatientID uuid.UUID
	UserID    uuid.UUID
	Reviewed  *bool // false: the worklist of reviewers
	Open      *bool
	Page      db.Keyset
}

// Grants lists grants within the caller's reach.
func (s *Service) Grants(ctx context.Context, f Filter) ([]Grant, error) {
	return db.Snapshot(ctx, s.database, "emergency.list", func(ctx context.Context) ([]Grant, error) {
		return s.store.list(ctx, f, s.now())
	})
}

// Grant returns a grant within the caller's reach. The error is [ErrNotFound].
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
		trail.Show(ctx, trail.Subject{Type: subject, ID: g.ID, PatientID: g.PatientID})
	}
}

// Open returns the patient whom the grant is for. The error is [ErrNotOpen] unless it
// is the caller's own and holds at this moment.
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

// Revoke ends a grant before its time. Errors: [ErrNotFound], [ErrOver].
func (s *Service) Revoke(ctx context.Context, id uuid.UUID) (Grant, error) {
	return s.change(ctx, id, EventRevoked, func(caller identity.Caller, g *Grant, now time.Time) error {
		if !g.OpenAt(now) {
			return ErrOver
		}
		g.RevokedAt, g.RevokedBy = &now, &caller.UserID
		return nil
	})
}

// Review says whether a grant was justified, once it is over. Errors: [ErrNotFound],
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

// change decides and writes a change of a grant, and tells of it. An attempt that
// finds its own moment written has been made before.
func (s *Service) change(ctx context.Context, id uuid.UUID, event string, decide func(caller identity.Caller, g *Grant, now time.Time) error) (Grant, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Grant{}, err
	}
	now := s.now()
	done := func(g Grant) bool {
		return same(g.RevokedAt, g.RevokedBy, now, caller.UserID) || same(g.ReviewedAt, g.ReviewedBy, now, caller.UserID)
	}
	return db.Serializable(ctx, s.database, event, func(ctx context.Context) (Grant, error) {
		g, err := s.store.get(ctx, id)
		if err != nil || db.InDoubt(ctx) && done(g) {
			return g, err
		}
		if err := decide(caller, &g, now); err != nil {
			return Grant{}, err
		}
		if err := s.store.update(ctx, g); err != nil {
			return Grant{}, err
		}
		return g, s.tell(ctx, caller, event, g, now)
	}, db.ProvenBy(func(ctx context.Context) (bool, error) {
		g, err := s.store.get(ctx, id)
		return err == nil && done(g), err
	}))
}

func same(at *time.Time, by *uuid.UUID, now time.Time, caller uuid.UUID) bool {
	return at != nil && by != nil && at.Equal(now) && *by == caller
}
