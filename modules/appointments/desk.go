package appointments

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"omnirapeutic/platform/idempotency"
	"omnirapeutic/platform/operation"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/scheduling"
	"omnirapeutic/platform/trail"
)

// desk decides the requests of one transaction one after the other. The results are written
// together. It does no I/O.
type desk struct {
	scene
	requests []request // one for each appointment
	// If inDoubt is set, an earlier attempt may already have written the changes; see [db.InDoubt].
	inDoubt bool
	done    map[operation.Key]operation.Done // stored before, or decided on this desk
	written map[uuid.UUID]Session            // of stored requests, by appointment

	changed  []scheduling.Key        // appointments to write, each once
	shrunk   map[scheduling.Key]bool // those that lose a practitioner
	sessions []Session
	messages []outbox.Message
	events   []trail.Event
	rows     []operation.Done
	series   []Series
	edited   map[scheduling.Key]bool // series with an appointment that was changed on this desk
}

// errOvertaken is returned if a request for several appointments of a series was read before
// another request of the same batch changed that series. It never leaves the package: the batch is
// halved until the two are in different batches, and the request is read again.
var errOvertaken = errors.New("appointments: the series was changed by a request of the same batch")

// overtaken reports whether an earlier request has changed the series of the request. The parts and
// their shift depend on all appointments of the series.
func (d *desk) overtaken(r request) bool {
	if _, known := d.done[r.operationKey()]; known || !r.scope.several() {
		return false
	}
	series := d.appointments[r.key()].SeriesID
	return series != nil && d.edited[scheduling.Key{OrganizationID: r.caller.OrganizationID, ID: *series}]
}

// result is the result of a request: a verdict, refusals included, or an error, which is not
// stored.
type result struct {
	verdict verdict
	err     error
}

// settle decides a request on the state that earlier requests left.
func (d *desk) settle(r request) result {
	v, known, err := d.recall(r)
	if !known && err == nil {
		r = d.withoutOvertaken(r)
		if v, err = d.decide(r); err == nil {
			err = d.keep(r, v)
		}
	}
	if err != nil {
		return result{err: err}
	}
	return result{verdict: v}
}

// recall returns the stored verdict of a repeated request.
func (d *desk) recall(r request) (verdict, bool, error) {
	row, known := d.done[r.operationKey()]
	if !known {
		return verdict{}, false, nil
	}
	if !bytes.Equal(row.Fingerprint, r.fingerprint()) {
		return verdict{refusal: idempotency.ErrReused}, true, nil
	}
	var m memory
	if err := row.Recall(&m); err != nil {
		return verdict{}, true, err
	}
	var now Appointment
	var session *Session
	if m.Appointment != nil {
		now = d.appointments[scheduling.Key{OrganizationID: r.caller.OrganizationID, ID: m.Appointment.ID}]
		if s, ok := d.written[now.ID]; ok {
			session = &s
		}
	}
	v, err := m.recall(now, session)
	return v, true, err
}

// keep collects the changes of a verdict, and stores its outcome.
func (d *desk) keep(r request, v verdict) error {
	if v.changed() {
		d.noteAll(r, v)
	} else if !r.repeatable && !d.inDoubt {
		// A request without changes and without a key needs no row, unless an earlier attempt may
		// have been accepted: its COMMIT may still be running, and only the rows' keys make the two
		// conflict.
		return nil
	}
	outcome, err := json.Marshal(memoryOf(r, v))
	if err != nil {
		return err
	}
	row := operation.Done{
		Key: r.operationKey(), Kind: string(r.kind), Fingerprint: r.fingerprint(), Outcome: outcome, CreatedAt: d.now,
	}
	d.rows = append(d.rows, row)
	d.done[row.Key] = row
	return nil
}

func (d *desk) noteAll(r request, v verdict) {
	if v.parts == nil {
		d.note(r, v)
		return
	}
	if r.kind == book {
		d.series = append(d.series, Series{
			OrganizationID: r.caller.OrganizationID, ID: r.series, RecurrenceRule: r.rule, CreatedBy: r.caller.UserID, CreatedAt: d.now,
		})
	}
	for i, decided := range v.parts {
		if decided.changed() {
			d.note(r.parts[i], decided)
		}
	}
}

func (d *desk) note(r request, v verdict) {
	key := scheduling.Key{OrganizationID: v.appointment.OrganizationID, ID: v.appointment.ID}
	if !d.isChanged(key) {
		d.changed = append(d.changed, key)
	}
	if series := v.appointment.SeriesID; series != nil {
		d.edited[scheduling.Key{OrganizationID: key.OrganizationID, ID: *series}] = true
	}
	if len(v.appointment.Practitioners) < len(v.before.Practitioners) {
		d.shrunk[key] = true
	}
	if v.session != nil {
		d.sessions = append(d.sessions, *v.session)
		d.written[v.appointment.ID] = *v.session
	}
	d.messages = append(d.messages, messageOf(r, v.appointment))
	d.events = append(d.events, trailOf(r, v)...)
}

func (d *desk) isChanged(key scheduling.Key) bool {
	for _, each := range d.changed {
		if each == key {
			return true
		}
	}
	return false
}
