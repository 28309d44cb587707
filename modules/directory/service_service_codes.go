package directory

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/scheduling"
)

var serviceCodes = crud[ServiceCode, *ServiceCode]{
	name: "service-code", notFound: ErrServiceCodeNotFound, valid: ServiceCode{Code: "0"},
	loadParts: store{}.loadRequiredCredentials,
	saveParts: store{}.saveRequiredCredentials,
	recorded:  recordedServiceCode,
}

// CreateServiceCode creates a service code. Errors: [fault.ErrInvalid], [ErrServiceCodeTaken].
func (s *Service) CreateServiceCode(ctx context.Context, n NewServiceCode) (ServiceCode, error) {
	return serviceCodes.create(ctx, s, ServiceCode{
		Code: n.Code, Description: n.Description,
		Track:               cmp.Or(n.Track, defaultTracks[n.Code], scheduling.Direct),
		UnitMinutes:         cmp.Or(n.UnitMinutes, defaultUnitMinutes),
		RequiredCredentials: n.RequiredCredentials, Active: n.Active == nil || *n.Active,
	})
}

// ServiceCode returns a service code. The error is [ErrServiceCodeNotFound].
func (s *Service) ServiceCode(ctx context.Context, id uuid.UUID) (ServiceCode, error) {
	return serviceCodes.get(ctx, s, id)
}

// ServiceCodes lists service codes.
func (s *Service) ServiceCodes(ctx context.Context, f ServiceCodeFilter) ([]ServiceCode, error) {
	return serviceCodes.list(ctx, s, f.Page, equals("code", f.Code))
}

// ChangeServiceCode changes a service code. Errors: [patch.ErrStale], [ErrServiceCodeNotFound],
// [fault.ErrInvalid], [ErrServiceCodeTaken].
func (s *Service) ChangeServiceCode(ctx context.Context, c ServiceCodeChange) (ServiceCode, error) {
	return serviceCodes.change(ctx, s, c.ID, c.Match, func(code *ServiceCode) {
		c.Code.Apply(&code.Code)
		c.Description.Apply(&code.Description)
		c.Track.Apply(&code.Track)
		c.UnitMinutes.Apply(&code.UnitMinutes)
		c.RequiredCredentials.Apply(&code.RequiredCredentials)
		c.Active.Apply(&code.Active)
	})
}
