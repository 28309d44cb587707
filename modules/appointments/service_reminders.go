package appointments

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/record"
)

// ReminderService publishes reminders of appointments.
type ReminderService struct {
	base
	running sync.Mutex
}

// reminderBatch is the maximum number of reminders of one transaction.
const reminderBatch = 500

// Remind publishes the due reminders of all enabled organizations, and returns their number. A
// reminder is due from the given time before the start of a SCHEDULED appointment until its start.
// If the appointment is booked later, or the program did not run, the reminder is published by the next
// run. Across instances, each reminder is published once per appointment, start and reminder time. A moved
// appointment gets new reminders. Remind needs no caller.
//
// Each instance must call it. A run reads the appointments that have come near since the last one, and the ones
// that this instance has changed. The first one, and one per [reminderSearch], reads all near appointments.
func (s *ReminderService) Remind(ctx context.Context, times []time.Duration) (int, error) {
	s.running.Lock()
	defer s.running.Unlock()
	run := s.reminders.begin(s.now(), times)
	announced := 0
	for _, before := range times {
		for {
			taken, published, err := s.remind(ctx, run, before)
			announced += published
			if err != nil {
				s.reminders.end(run, true)
				return announced, err
			}
			if taken < reminderBatch {
				break
			}
		}
	}
	s.reminders.end(run, false)
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
		Operation: "reminders.forget", Table: "appointment_reminders",
		Key:  []string{"organization_id", "appointment_id", "starts_at", "minutes_before"},
		Time: "starts_at", Before: s.now().Add(-MaxLength),
	})
}

// remind takes a batch of due reminders, and publishes them unless another instance has.
func (s *ReminderService) remind(
	ctx context.Context, run reminderRun, before time.Duration,
) (taken, published int, err error) {
	due, err := db.ReadCommitted(ctx, s.Database, "reminders.publish", func(ctx context.Context) ([]dueReminder, error) {
		due, err := s.store.takeReminders(ctx, run, before, reminderBatch)
		if err != nil {
			return nil, err
		}
		taken := slices.DeleteFunc(slices.Clone(due), func(d dueReminder) bool { return d.Published })
		if len(taken) == 0 {
			return due, nil
		}
		messages := make([]outbox.Message, len(taken))
		for i, d := range taken {
			messages[i] = outbox.Message{
				OrganizationID: d.OrganizationID, Type: EventReminder, SubjectID: d.AppointmentID,
				Permission: permission.AppointmentRead, OccurredAt: run.now,
				Payload: AppointmentReminder{d.AppointmentID, d.Start.UTC(), d.End.UTC(), d.Version, d.MinutesBefore},
			}
		}
		if err := s.remindFamilies(ctx, taken); err != nil {
			return nil, err
		}
		return due, s.Events.Publish(ctx, messages)
	}, db.AllOrganizations())
	for _, d := range due {
		if !d.Published {
			published++
		}
	}
	return len(due), published, err
}
