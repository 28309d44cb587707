package appointments

// clockIn records the start of an appointment as a clock-in, unless the request gives another time.
func (d statusDraft) clockIn() {
	d.a.Clocking = Clocking{}
	if d.started == nil {
		d.a.ClockedInAt = new(d.now)
		d.a.ClockInLatitude, d.a.ClockInLongitude = d.coordinates.parts()
	}
}

// clockOut records that the practitioner clocked out. A later clock-out replaces it until the
// appointment is completed.
func (d statusDraft) clockOut() {
	if d.a.Status != InProgress {
		d.refusal = ErrTransition.With(Transition{d.a.Status, InProgress, transitions[d.a.Status]},
			"The appointment is %s. You can clock out of an IN_PROGRESS appointment only.", d.a.Status)
		return
	}
	d.leave(d.coordinates)
	d.touch()
}

// leave records a clock-out at the present time.
func (d *draft) leave(at *Coordinates) {
	d.a.ClockedOutAt = new(d.now)
	d.a.ClockOutLatitude, d.a.ClockOutLongitude = at.parts()
}
