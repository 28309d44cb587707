package mfa

import (
	"context"
	"net/http"
	"time"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

const pathPolicy = "/sign-in-policy"

func (s *Service) policyRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: pathPolicy, Permission: permission.SignInPolicyManage,
			Name: "getSignInPolicy", Summary: "Get the sign-in policy",
			Description: "The organization's requirements for sign-ins with a password.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handlePolicy),
		},
		{
			Method: http.MethodPut, Path: pathPolicy, Permission: permission.SignInPolicyManage,
			Name: "setSignInPolicy", Summary: "Set the sign-in policy",
			Description: "With `secondFactorRequired`, users who sign in with a password and have no second factor can only " +
				"set one up (`enrolOnly`). This applies from the next sign-in or refresh on, also to the caller; issued access " +
				"tokens stay valid until they expire. Sign-ins through the identity provider and API keys are exempt.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleSetPolicy),
		},
	}
}

// signInPolicyBody is the organization's requirement for sign-ins with a password.
type signInPolicyBody struct {
	// Whether users without a second factor who sign in with a password can only set one up. Sign-ins
	// through the identity provider are exempt.
	SecondFactorRequired bool       `json:"secondFactorRequired"`
	Version              int        `json:"version"`   // The number of changes. It is 0 before the first one.
	UpdatedAt            *time.Time `json:"updatedAt"` // The time of the last change. It is null before the first one.
}

// Revision returns the version, which the API returns as ETag.
func (b signInPolicyBody) Revision() int { return b.Version }

func policyBodyOf(p Policy) signInPolicyBody {
	return signInPolicyBody{p.SecondFactorRequired, p.Version, p.UpdatedAt}
}

func (s *Service) handlePolicy(ctx context.Context, _ httpx.None) (signInPolicyBody, error) {
	p, err := s.Policy(ctx)
	return policyBodyOf(p), err
}

// signInPolicyChange is a new sign-in policy.
type signInPolicyChange struct {
	Match patch.Match `header:"If-Match"`
	// Whether sign-ins with a password require a second factor.
	SecondFactorRequired *bool `json:"secondFactorRequired" validate:"required"`
}

func (s *Service) handleSetPolicy(ctx context.Context, in signInPolicyChange) (signInPolicyBody, error) {
	required := in.SecondFactorRequired != nil && *in.SecondFactorRequired
	p, err := s.SetPolicy(ctx, PolicyChange{in.Match, required})
	return policyBodyOf(p), err
}
