package verification

import (
	"context"
	"time"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// Basis is where a verification of an organization starts.
type Basis struct {
	Mode       Mode        // incremental only with a checkpoint, and if the checkpoints are undamaged
	At         time.Time   // now
	Checkpoint *Checkpoint // the newest one; nil: there is none
	Damage     *Damage     // of the checkpoints; nil: there is none
}

// Basis returns where a verification of the caller's organization starts. It checks the chain of the
// checkpoints.
func (s *Service) Basis(ctx context.Context, mode Mode) (Basis, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Basis{}, err
	}
	basis := Basis{Mode: Full, At: s.now()}
	checkpoints, err := db.Snapshot(ctx, s.Database, "verification.checkpoints", s.store.checkpoints)
	if err != nil || len(checkpoints) == 0 {
		return basis, err
	}
	basis.Damage = damageOf(caller.OrganizationID, checkpoints)
	basis.Checkpoint = &checkpoints[len(checkpoints)-1]
	if mode == Incremental && basis.Damage == nil {
		basis.Mode = Incremental
	}
	return basis, nil
}

// AddCheckpoint stores that a verification with this basis has found no problem, in the audit trail up to
// a position with a hash. It acts in the caller's organization.
func (s *Service) AddCheckpoint(ctx context.Context, basis Basis, position int64, hash db.Hash) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	_, err = db.Serializable(ctx, s.Database, "verification.checkpoint", func(ctx context.Context) (struct{}, error) {
		last, err := s.store.lastCheckpoint(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.store.insertCheckpoint(ctx, next(last, Checkpoint{
			OrganizationID: caller.OrganizationID, Mode: basis.Mode, VerifiedAt: basis.At,
			EntriesBefore: basis.At.Add(-overlap), AuditPosition: position, AuditHash: hash,
		}))
	}, db.RetryConstraint("verification_checkpoints_pkey"))
	return err
}
