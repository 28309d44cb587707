package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/record"
)

// ReminderService publishes reminders of appointments.
type ReminderService struct{ base }

// reminderBatch is the maximum number of reminders of one transaction.
const reminderBatch = 500

// Remind publishes the due reminders of all enabled organizations, and returns their number. A
// reminder is due from the given time before the start of a SCHEDULED appointment until its start.
// If the appointment is booked later, or the program did not run, the reminder is published
// immediately. Across instances, each reminder is published once per appointment, start and
// reminder time. A moved appointment gets new reminders. Remind needs no caller.
func (s *ReminderService) Remind(ctx context.Context, times []time.Duration) (int, error) {
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

// FamilyReminder is a reminder of an appointment for the families of its patients.
type FamilyReminder struct {
	OrganizationID uuid.UUID
	PatientIDs     []uuid.UUID
	Start          time.Time
}

// Families reminds families by mail. The app connects it to the users and to mail.
type Families interface {
	// Remind sends a mail to each user who is a guardian of a patient of the appointments and has asked
	// for reminders, if the transaction of the context commits.
	Remind(ctx context.Context, reminders []FamilyReminder) error
}

// remindFamilies reminds the families of the patients of due appointments.
func (s *ReminderService) remindFamilies(ctx context.Context, due []dueReminder) error {
	if s.Families == nil {
		return nil
	}
	patients, err := s.store.patientsOfReminders(ctx, due)
	if err != nil {
		return err
	}
	reminders := make([]FamilyReminder, len(due))
	for i, d := range due {
		reminders[i] = FamilyReminder{d.OrganizationID, patients[record.Of(d.OrganizationID, d.AppointmentID)], d.Start}
	}
	return s.Families.Remind(ctx, reminders)
}

// ForgetReminders deletes the records of reminders of past appointments, of all organizations, and
// returns their number. Index: appointment_reminders_by_start.
func (s *ReminderService) ForgetReminders(ctx context.Context) (int64, error) {
	return db.RemoveOld(ctx, s.Database, db.Removal{
		Operation: "reminders.forget", Table: "appointment_reminders", Time: "starts_at", Before: s.now().Add(-MaxLength),
	})
}

func (s *ReminderService) remind(ctx context.Context, before time.Duration) (int, error) {
	return db.ReadCommitted(ctx, s.Database, "reminders.publish", func(ctx context.Context) (int, error) {
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
		if err := s.remindFamilies(ctx, due); err != nil {
			return 0, err
		}
		return len(due), s.Events.Publish(ctx, messages)
	}, db.AllOrganizations())
}
