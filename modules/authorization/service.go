package authorization

import "github.com/google/uuid"

// Service has the use cases of authorizations and their units, grouped by noun. They are safe for
// concurrent use. Unless documented otherwise, their methods act in the organization of the
// [identity.Caller] in the context, and fail without one.
type Service struct {
	*TermsService
	*UnitService
	*ReportService
	*AlertService
	*VerificationService
}

// New returns the services.
func New(d Dependencies) *Service {
	if d.OnVerified == nil {
		d.OnVerified = func(uuid.UUID, Report) {}
	}
	b := base{d, store{}}
	c := newCommands(b)
	terms, units := &TermsService{c}, &UnitService{c}
	return &Service{
		TermsService:        terms,
		UnitService:         units,
		ReportService:       &ReportService{b, terms},
		AlertService:        &AlertService{b},
		VerificationService: &VerificationService{b, units},
	}
}
