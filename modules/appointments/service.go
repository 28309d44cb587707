package appointments

// Service has the use cases of appointments and sessions, grouped by noun. They are safe for
// concurrent use. Unless documented otherwise, their methods act in the organization of the
// [identity.Caller] in the context, and fail without one.
type Service struct {
	*BookingService
	*ScheduleService
	*SessionService
	*NoteService
	*CorrectionService
	*RenewalService
	*AvailabilityService
	*FeedService
	*ReminderService
	*EntryService
}

// New returns the services.
func New(d Dependencies) *Service {
	b := base{Dependencies: d, reminders: &reminderProgress{}}
	c := newCommands(b)
	availability := &AvailabilityService{base: b}
	return &Service{
		BookingService:      &BookingService{c, availability},
		ScheduleService:     &ScheduleService{b},
		SessionService:      &SessionService{b},
		NoteService:         &NoteService{b},
		CorrectionService:   &CorrectionService{c},
		RenewalService:      &RenewalService{c},
		AvailabilityService: availability,
		FeedService:         &FeedService{base: b},
		ReminderService:     &ReminderService{base: b},
		EntryService:        &EntryService{base: b},
	}
}
