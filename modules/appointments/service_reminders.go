package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/permission"
)

// EventReminder is the type of the event that an appointment starts soon. Subscribers need
// [permission.AppointmentRead]. The data is an [AppointmentReminder]. Subscribers decide on recipients and
// channels.
const EventReminder = "appointment.reminder"

// AppointmentReminder is an appointment that starts soon. It leaves the system, so it does not
// identify people.
type AppointmentReminder struct {
	AppointmentID uuid.UUID `json:"appointmentId"`
	StartTime     time.Time `json:"startTime"`
	EndTime       time.Time `json:"endTime"`
	Version       int       `json:"version"`
	MinutesBefore int       `json:"minutesBefore"` // identifies the configured reminder
}

// reminderBatch is the maximum number of reminders of one transaction.
const reminderBatch = 500

// Remind publishes the due reminders of all enabled organizations, and returns their number. A
// reminder is due from the given time before the start of a SCHEDULED appointment until its start.
// If the appointment is booked later, or the program did not run, the reminder is published
// immediately. Across instances, each reminder is published once per appointment, start and
// reminder time. A moved appointment gets new reminders. Remind needs no caller.
func (s *Service) Remind(ctx context.Context, times []time.Duration) (int, error) {
	announced := 0
	for _, before := range times {
		for {
			n, err := s.remind(ctx, before)
			announced += n
			if err != nil {
				return announced, err
			}
			if n < reminderBatch {
				break
			}
		}
	}
	return announced, nil
}

// ForgetReminders deletes the records of reminders of past appointments, of all organizations, and
// returns their number. Index: appointment_reminders_by_start.
func (s *Service) ForgetReminders(ctx context.Context) (int64, error) {
	return db.RemoveOld(ctx, s.database, db.Removal{
		Operation: "reminders.forget", Table: "appointment_reminders", Time: "starts_at", Before: s.now().Add(-MaxLength),
	})
}

func (s *Service) remind(ctx context.Context, before time.Duration) (int, error) {
	return db.ReadCommitted(ctx, s.database, "reminders.tell", func(ctx context.Context) (int, error) {
		now := s.now()
		due, err := s.store.takeReminders(ctx, now, before, reminderBatch)
		if err != nil || len(due) == 0 {
			return 0, err
		}
		messages := make([]outbox.Message, len(due))
		for i, d := range due {
			messages[i] = outbox.Message{
				OrganizationID: d.OrganizationID, Type: EventReminder, SubjectID: d.AppointmentID,
				Permission: permission.AppointmentRead, OccurredAt: now,
				Payload: AppointmentReminder{d.AppointmentID, d.Start.UTC(), d.End.UTC(), d.Version, d.MinutesBefore},
			}
		}
		return len(due), s.events.Publish(ctx, messages)
	}, db.AllOrganizations())
}
