package billing

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// NewExport is a request for an export.
type NewExport struct {
	PayerID  uuid.UUID
	From, To calendar.Date // the service dates, both included
}

// Export takes all ready lines of a payer and a period into an export: it groups them to claims, writes
// the files, and locks the sessions. The error is [ErrNothingReady].
func (s *Service) Export(ctx context.Context, n NewExport) (Export, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Export{}, err
	}
	e := Export{
		OrganizationID: caller.OrganizationID, ID: s.NewID(), PayerID: n.PayerID, From: n.From, To: n.To,
		CreatedBy: caller.UserID, CreatedAt: s.now(),
	}
	return db.Serializable(ctx, s.Database, "billing.export", func(ctx context.Context) (Export, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if found, err := s.store.export(ctx, e.ID); err == nil {
				return found, nil
			}
		}
		b, err := s.load(ctx, n.From, n.To)
		if err != nil {
			return Export{}, err
		}
		lines, blocked := selection{n.PayerID, n.From, n.To}.of(b.lines())
		if len(lines) == 0 {
			return Export{}, ErrNothingReady.With(NothingReady{blocked},
				"No claim line of the payer is ready from %s to %s; %d are blocked.", n.From, n.To, blocked)
		}
		f, err := s.file(ctx, e, b, lines)
		if err != nil {
			return Export{}, err
		}
		if err := s.store.insertExport(ctx, f.export, f.claims); err != nil {
			return Export{}, err
		}
		var sessions []uuid.UUID
		for _, c := range f.claims {
			for _, l := range c.Lines {
				sessions = append(sessions, l.SessionID)
			}
		}
		if err := s.Sessions.SetExported(ctx, sessions, &e.CreatedAt); err != nil {
			return Export{}, err
		}
		return f.export, s.Audit.Record(ctx, []trail.Event{exportEvent(caller, "billing.export", f.export)})
	}, db.ProvenBy(func(ctx context.Context) (bool, error) {
		_, err := s.store.export(ctx, e.ID)
		if errors.Is(err, ErrExportNotFound) {
			return false, nil
		}
		return err == nil, err
	}))
}

// file numbers the export, groups the lines to claims, and writes the files.
func (s *Service) file(ctx context.Context, e Export, b book, lines []Line) (filing, error) {
	last, err := s.store.lastNumber(ctx)
	if err != nil {
		return filing{}, err
	}
	e.Number = last + 1
	claims := claimsOf(lines, b.claims)
	for i := range claims {
		c := &claims[i]
		c.OrganizationID, c.ID, c.ExportID, c.Number = e.OrganizationID, s.NewID(), e.ID, claimNumber(e.Number, i+1)
		for j := range c.Lines {
			l := &c.Lines[j]
			l.ID, l.ClaimID, l.ExportID, l.State = s.NewID(), &c.ID, &e.ID, Exported
			e.Units += l.Units
			e.LineCount++
		}
		e.ChargeCents += c.ChargeCents
	}
	e.ClaimCount = len(claims)
	f := filing{e, claims, b.data}
	f.export.Files, err = f.files()
	return f, err
}

// Exports lists exports.
func (s *Service) Exports(ctx context.Context, payer uuid.UUID, page db.Keyset) ([]Export, error) {
	return db.Snapshot(ctx, s.Database, "billing.exports", func(ctx context.Context) ([]Export, error) {
		return s.store.exports(ctx, payer, page)
	})
}

// ExportByID returns an export. The error is [ErrExportNotFound].
func (s *Service) ExportByID(ctx context.Context, id uuid.UUID) (Export, error) {
	return db.Snapshot(ctx, s.Database, "billing.export-by-id", func(ctx context.Context) (Export, error) {
		return s.store.export(ctx, id)
	})
}

// FileOf returns an export with only one of its files, with its content. The error is
// [ErrExportNotFound].
func (s *Service) FileOf(ctx context.Context, export uuid.UUID, format Format) (Export, error) {
	return db.Snapshot(ctx, s.Database, "billing.file", func(ctx context.Context) (Export, error) {
		file, err := s.store.file(ctx, export, format)
		if err != nil {
			return Export{}, err
		}
		e, claims, err := s.withClaims(ctx, export, file.Queries...)
		if err != nil {
			return Export{}, err
		}
		f, err := file.Value(ctx)
		if err != nil {
			return Export{}, err
		}
		e.Files = []File{f}
		for _, c := range claims {
			trail.Show(ctx, trail.Subject{Type: subjectClaim, ID: c.ID, PatientID: c.PatientID})
		}
		return e, err
	})
}

// Claims returns the claims of an export with their lines. The error is [ErrExportNotFound].
func (s *Service) Claims(ctx context.Context, export uuid.UUID) ([]Claim, error) {
	return db.Snapshot(ctx, s.Database, "billing.claims", func(ctx context.Context) ([]Claim, error) {
		_, claims, err := s.withClaims(ctx, export)
		for _, c := range claims {
			trail.Show(ctx, trail.Subject{Type: subjectClaim, ID: c.ID, PatientID: c.PatientID})
		}
		return claims, err
	})
}

// withClaims returns an export and its claims, in one round trip with other queries. The error is
// [ErrExportNotFound].
func (s *Service) withClaims(ctx context.Context, export uuid.UUID, with ...db.Query) (Export, []Claim, error) {
	r, err := s.store.readExport(ctx, export)
	if err != nil {
		return Export{}, nil, err
	}
	claims, err := s.store.claims(ctx, export)
	if err != nil {
		return Export{}, nil, err
	}
	if err := db.ReadAll(ctx, slices.Concat(r.queries, claims.queries, with)...); err != nil {
		return Export{}, nil, err
	}
	e, err := r.export()
	return e, claims.claims(), err
}

const (
	subjectClaim  = "claim"
	subjectExport = "billing-export"
)

// SetControlNumber stores the number that the payer has given to a claim. The error is
// [ErrClaimNotFound]. It works without [db.ProvenBy]: the caller can repeat it after an unknown
// outcome.
func (s *Service) SetControlNumber(ctx context.Context, claim uuid.UUID, number string) (Claim, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Claim{}, err
	}
	return db.Serializable(ctx, s.Database, "billing.control-number", func(ctx context.Context) (Claim, error) {
		if err := s.store.setControlNumber(ctx, claim, number); err != nil {
			return Claim{}, err
		}
		found, err := s.store.claim(ctx, claim)
		if err != nil {
			return Claim{}, err
		}
		e := trail.By(caller)
		e.Action, e.SubjectType, e.SubjectID, e.PatientID, e.OccurredAt = "claim.control-number", subjectClaim, claim,
			&found.PatientID, s.now()
		return found, s.Audit.Record(ctx, []trail.Event{e})
	})
}

// Retract takes back an export that the payer has rejected or never received: its lines become ready
// again, and sessions without another claim are unlocked. Errors: [ErrExportNotFound], [ErrRetracted],
// [ErrReplaced]. It works without [db.ProvenBy]: a repetition is refused with [ErrRetracted].
func (s *Service) Retract(ctx context.Context, id uuid.UUID, reason string) (Export, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Export{}, err
	}
	now := s.now()
	return db.Serializable(ctx, s.Database, "billing.retract", func(ctx context.Context) (Export, error) {
		e, err := s.store.export(ctx, id)
		if err != nil {
			return Export{}, err
		}
		if e.RetractedAt != nil {
			return Export{}, ErrRetracted
		}
		replaced, err := s.store.isReplaced(ctx, id)
		if err != nil {
			return Export{}, err
		}
		if replaced {
			return Export{}, ErrReplaced
		}
		e.RetractedAt, e.RetractedBy, e.RetractReason = &now, &caller.UserID, &reason
		if err := s.store.retract(ctx, e); err != nil {
			return Export{}, err
		}
		unlocked, err := s.store.onlyIn(ctx, id)
		if err != nil {
			return Export{}, err
		}
		if err := s.Sessions.SetExported(ctx, slices.Compact(unlocked), nil); err != nil {
			return Export{}, err
		}
		return e, s.Audit.Record(ctx, []trail.Event{exportEvent(caller, "billing.retract", e)})
	})
}

// auditedExport is the part of an export that the audit trail stores.
type auditedExport struct {
	PayerID     uuid.UUID `json:"payerId"`
	Number      int       `json:"number"`
	Lines       int       `json:"lines"`
	Units       int       `json:"units"`
	ChargeCents int       `json:"chargeCents"`
	Retracted   bool      `json:"retracted"`
}

func exportEvent(caller identity.Caller, action string, e Export) trail.Event {
	event := trail.By(caller)
	event.Action, event.SubjectType, event.SubjectID, event.OccurredAt = action, subjectExport, e.ID, e.CreatedAt
	if e.RetractedAt != nil {
		event.OccurredAt = *e.RetractedAt
	}
	event.After = auditedExport{e.PayerID, e.Number, e.LineCount, e.Units, e.ChargeCents, e.RetractedAt != nil}
	return event
}
