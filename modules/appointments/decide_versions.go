package appointments

import (
	"slices"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
)

// current returns the session that the request names, or refuses the request.
func (d *draft) current() (Session, bool) {
	session, exists := d.sessions[d.a.key()]
	switch {
	case d.a.SessionID == nil || *d.a.SessionID != d.request.session || !exists:
		d.refusal = ErrSessionVoided
	default:
		if err := d.correction.Match.Check(session.Version); err != nil {
			d.refusal, _ = fault.From(err)
		}
	}
	if d.refusal == nil {
		d.refusal = refuseExported(session, d.caller)
	}
	return session, d.refusal == nil
}

// startVersion begins a new version of the appointment's session. The error is
// [command.ErrSeparate] if an earlier request of the batch has changed the session, because every
// version is stored.
func (d *draft) startVersion(change SessionChange) error {
	key := d.a.key()
	if d.written[key] {
		return command.ErrSeparate
	}
	s := d.sessions[key]
	s.Patients = slices.Clone(s.Patients)
	s.Version++
	s.Change, s.ChangedBy, s.ChangeReason = change, new(d.caller.UserID), d.reason
	s.UpdatedAt = d.now
	d.session = &s
	return nil
}
