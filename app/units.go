package app

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// unitBooks adapts the ledger of authorizations for appointments.
type unitBooks struct{ authorizations *authorization.Service }

// Open implements appointments.Units.
func (u unitBooks) Open(ctx context.Context, now time.Time, held []appointments.Held) (appointments.Book, error) {
	requested := make([]authorization.Held, len(held))
	for i, h := range held {
		requested[i] = authorization.Held(h)
	}
	ledger, err := u.authorizations.OpenLedger(ctx, now, requested)
	return unitBook{ledger}, err
}

// NotFound implements appointments.Units.
func (unitBooks) NotFound() *fault.Error { return authorization.ErrNotFound }

// Refusals implements appointments.Units.
func (u unitBooks) Refusals() []*fault.Error {
	return []*fault.Error{
		authorization.ErrOutsideDates, authorization.ErrNotActive, authorization.ErrInsufficientUnits,
		authorization.ErrCapExceeded, authorization.ErrBooksDamaged,
	}
}

// Others implements appointments.Units.
func (u unitBooks) Others(ctx context.Context, patient, serviceCode uuid.UUID, day calendar.Date, but uuid.UUID) ([]uuid.UUID, error) {
	const most = 20
	found, err := u.authorizations.List(ctx, authorization.Filter{
		PatientID: patient, ServiceCodeID: serviceCode, InForceOn: day,
		Page: db.Keyset{Column: "end_date", Expression: "CAST(%s AS date)", Limit: most},
	})
	var others []uuid.UUID
	for _, a := range found {
		if a.ID != but && a.Decision == authorization.Active {
			others = append(others, a.ID)
		}
	}
	return others, err
}

// RefusalOf implements appointments.Units.
func (unitBooks) RefusalOf(err error) error { return authorization.RefusalOf(err) }

type unitBook struct{ *authorization.Ledger }

// Terms implements appointments.Book.
func (b unitBook) Terms(organization, id uuid.UUID) (appointments.Terms, bool) {
	a, ok := b.Authorization(organization, id)
	return appointments.Terms{PatientID: a.PatientID, ServiceCodeID: a.ServiceCodeID, InsuranceID: a.InsuranceID}, ok
}

// Sheet implements appointments.Book.
func (b unitBook) Sheet() appointments.Sheet { return unitSheet{b.Ledger.Sheet()} }

type unitSheet struct{ *authorization.Sheet }

// Hold implements appointments.Sheet.
func (s unitSheet) Hold(c appointments.Claim) ([]*fault.Error, error) {
	return s.Sheet.Hold(authorization.Claim(c))
}

// Release implements appointments.Sheet.
func (s unitSheet) Release(c appointments.Claim) error {
	return s.Sheet.Release(authorization.Claim(c))
}

// Settle implements appointments.Sheet.
func (s unitSheet) Settle(c appointments.Claim) (consumed, unauthorized int, err error) {
	return s.Sheet.Settle(authorization.Claim(c))
}

// appointmentHolds adapts the holds of appointments for the verification of the ledger.
func (a *App) appointmentHolds(ctx context.Context, organizations, authorizations []uuid.UUID) ([]authorization.AppointmentHold, error) {
	found, err := a.Appointments.Holds(ctx, organizations, authorizations)
	holds := make([]authorization.AppointmentHold, len(found))
	for i, h := range found {
		holds[i] = authorization.AppointmentHold(h)
	}
	return holds, err
}
