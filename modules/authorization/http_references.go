package authorization

import (
	"context"
	"reflect"

	"github.com/google/uuid"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/reference"
)

// References returns the kinds of records of this module to which other records refer.
func (s *TermsService) References() []reference.Source {
	return []reference.Source{{
		Kind: "authorization", Permission: permission.AuthorizationRead, Body: reflect.TypeFor[Body](),
		Texts: s.Texts,
		Bodies: func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]any, error) {
			found, err := s.Several(ctx, ids)
			bodies := make(map[uuid.UUID]any, len(found))
			for _, v := range found {
				body := BodyOf(v)
				if err == nil {
					err = httpx.Redact(ctx, &body)
				}
				bodies[v.ID] = body
			}
			return bodies, err
		},
	}}
}

// authorizationReferences are the references of an authorization.
type authorizationReferences struct {
	httpx.Displayed
	Patient     httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	Insurance   httpx.Expanded `json:"insurance,omitempty" refers:"insurance"`
	ServiceCode httpx.Expanded `json:"serviceCode,omitempty" refers:"serviceCode"`
}

// utilizationReferences are the references of an alert, or of the utilization of an authorization.
type utilizationReferences struct {
	httpx.Displayed
	Patient       httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	Authorization httpx.Expanded `json:"authorization,omitempty" refers:"authorization"`
	Insurance     httpx.Expanded `json:"insurance,omitempty" refers:"insurance"`
	ServiceCode   httpx.Expanded `json:"serviceCode,omitempty" refers:"serviceCode"`
}

// reservationReferences are the references of a reservation.
type reservationReferences struct {
	httpx.Displayed
	Authorization httpx.Expanded `json:"authorization,omitempty" refers:"authorization"`
}

// renewalReference is the further reference of an authorization that ends.
type renewalReference struct {
	Renewal httpx.Expanded `json:"renewal,omitempty" refers:"authorization"`
}
