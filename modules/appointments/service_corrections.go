package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// CorrectionService corrects and voids sessions.
type CorrectionService struct{ *commands }

// Corrected is the result of a correction.
type Corrected struct {
	Session     Session
	Appointment Appointment
	// Recounted has the new versions of the other sessions of the visit whose units changed.
	Recounted []Session
	Replayed  bool // whether it is the stored response of an earlier request with the same key
}

// Correct replaces the content of a session: it takes back the units that the session consumed, and
// consumes the right ones. Its ledger entries name the entries that they correct. Fields that are not
// given stay unchanged. A correction that changes nothing makes no new version. Errors:
// [ErrSessionNotFound], [ErrSessionVoided], [patch.ErrStale], [ErrUnconfirmed],
// [ErrCredentialMissing], [ErrPractitionerInactive], [ErrNotToday], [ErrSessionSigned],
// [fault.ErrInvalid].
func (s *CorrectionService) Correct(
	ctx context.Context, session uuid.UUID, c Correction, reason string, key command.Key,
) (Corrected, error) {
	r, err := s.correction(ctx, session, c, reason, key)
	if err != nil {
		return Corrected{}, err
	}
	return s.do(ctx, r)
}

// Void takes back the units of a session that did not take place as recorded, and gives its
// appointment the status [Cancelled], [NoShow] or [Scheduled]. A [Scheduled] appointment is checked
// like a booking. Errors: [ErrSessionNotFound], [ErrSessionVoided], [patch.ErrStale], [ErrNotToday],
// and as for [BookingService.Book].
func (s *CorrectionService) Void(
	ctx context.Context, session uuid.UUID, c Correction, to Status, reason string, key command.Key,
) (Corrected, error) {
	r, err := s.onSession(ctx, void, session, reason, key)
	if err != nil {
		return Corrected{}, err
	}
	r.correction, r.voidedTo = c, to
	return s.do(ctx, r)
}

// CorrectionPreview is the result of a correction that was not made.
type CorrectionPreview struct {
	Current Session
	Corrected
}

// PreviewCorrection returns what a correction would change. Nothing is written. Errors: as for
// [CorrectionService.Correct].
func (s *CorrectionService) PreviewCorrection(
	ctx context.Context, session uuid.UUID, c Correction,
) (CorrectionPreview, error) {
	r, err := s.correction(ctx, session, c, "preview", "")
	if err != nil {
		return CorrectionPreview{}, err
	}
	if r.zone, err = s.Directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return CorrectionPreview{}, err
	}
	return db.Snapshot(ctx, s.Database, "sessions.preview-correction",
		func(ctx context.Context) (CorrectionPreview, error) {
			state, err := s.load(ctx, nil, []request{r})
			if err != nil {
				return CorrectionPreview{}, err
			}
			current := state.sessions[r.key()]
			current.Practitioners = state.appointments[r.key()].Practitioners
			v, err := state.records.decide(r)
			if err != nil {
				return CorrectionPreview{}, err
			}
			if v.refusal != nil {
				return CorrectionPreview{}, v.refusal
			}
			showSessions(ctx, current)
			return CorrectionPreview{current, correctedOf(v)}, nil
		})
}

func (s *CorrectionService) do(ctx context.Context, r request) (Corrected, error) {
	v, err := s.run(ctx, r)
	if err != nil {
		return Corrected{}, err
	}
	return correctedOf(v), nil
}

func correctedOf(v verdict) Corrected {
	c := Corrected{Appointment: v.appointment, Replayed: v.replayed}
	if v.session != nil {
		c.Session = *v.session
		c.Session.Practitioners = v.appointment.Practitioners
	}
	for _, sibling := range v.siblings {
		if sibling.session != nil {
			recounted := *sibling.session
			recounted.Practitioners = sibling.appointment.Practitioners
			c.Recounted = append(c.Recounted, recounted)
		}
	}
	return c
}

// correction returns the request of a correction.
func (s *CorrectionService) correction(
	ctx context.Context, session uuid.UUID, c Correction, reason string, key command.Key,
) (request, error) {
	if err := c.check(); err != nil {
		return request{}, err
	}
	r, err := s.onSession(ctx, correct, session, reason, key)
	r.correction = c
	return r, err
}

// onSession returns a request on a session within the caller's record scope.
func (s *CorrectionService) onSession(
	ctx context.Context, k kind, session uuid.UUID, reason string, key command.Key,
) (request, error) {
	found, err := db.Snapshot(ctx, s.Database, "sessions.correct", func(ctx context.Context) (Session, error) {
		return s.store.session(ctx, session)
	})
	if err != nil {
		return request{}, err
	}
	r, err := s.request(ctx, k, found.AppointmentID, key)
	if err != nil {
		return request{}, err
	}
	r.session, r.reason = session, &reason
	r.knownRefusal, err = s.refuseLater(ctx, r.caller, found)
	return r, err
}

// refuseLater returns the refusal of a caller who may correct own sessions only: [ErrSessionSigned] if the
// session is signed, and [ErrNotToday] if it is of an earlier day.
func (s *CorrectionService) refuseLater(ctx context.Context, caller identity.Caller, found Session) (*fault.Error, error) {
	scope := caller.RecordScope()
	if scope.Has(identity.Organization) || scope.Has(identity.Caseload) {
		return nil, nil
	}
	signed, err := s.refusalOfSignatures(ctx, found.ID)
	if err != nil || signed != nil {
		return signed, err
	}
	zone, err := s.Directory.TimeZone(ctx, caller.OrganizationID)
	if err != nil || found.ServiceDate == calendar.DateIn(s.now(), found.zone(zone)) {
		return nil, err
	}
	return ErrNotToday.With(NotToday{found.ServiceDate},
		"The session was on %s. You can correct your own sessions on the same day only.", found.ServiceDate), nil
}

// Versions returns all versions of a session, oldest first. Earlier versions have no clinical text.
// The error is [ErrSessionNotFound].
func (s *SessionService) Versions(ctx context.Context, id uuid.UUID) ([]SessionVersion, error) {
	return db.Snapshot(ctx, s.Database, "sessions.versions", func(ctx context.Context) ([]SessionVersion, error) {
		r, err := s.store.readSession(ctx, id)
		if err != nil {
			return nil, err
		}
		var earlier versionsReading
		if err := db.ReadAll(ctx, append(r.queries, earlier.queries(r.organization, id)...)...); err != nil {
			return nil, err
		}
		found, err := r.session()
		if err != nil {
			return nil, err
		}
		versions, err := earlier.versions()
		if err != nil {
			return nil, err
		}
		all := make([]Session, len(versions)+1)
		for i, v := range versions {
			v.AppointmentID, v.CreatedBy, v.CreatedAt = found.AppointmentID, found.CreatedBy, found.CreatedAt
			v.OrganizationID, v.UpdatedAt = found.OrganizationID, v.ChangedAt
			all[i] = v.Session
		}
		found.Narrative, found.NoteSections, found.Addenda = nil, nil, nil
		all[len(versions)] = found
		all, err = visibleSessions(ctx, all)
		showSessions(ctx, found)
		result := make([]SessionVersion, len(all))
		for i, each := range all {
			result[i] = SessionVersion{each, each.UpdatedAt}
		}
		return result, err
	})
}
