package rbac

import (
	"context"
	"net/http"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

const pathPolicy = "/sign-in-policy"

func (s *Service) policyRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: pathPolicy, Permission: permission.SignInPolicyManage,
			Name: "getSignInPolicy", Summary: "Get the sign-in policy",
			Description: "What the organization requires of sign-ins with a password.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handlePolicy),
		},
		{
			Method: http.MethodPut, Path: pathPolicy, Permission: permission.SignInPolicyManage,
			Name: "setSignInPolicy", Summary: "Set the sign-in policy",
			Description: "With `secondFactorRequired`, users who sign in with a password and have no second factor can only set one up " +
				"(`enrolOnly`). This applies from the next sign-in or refresh on, also to the caller; issued access tokens stay " +
				"valid until they expire. Sign-ins through the identity provider and API keys are exempt.",
			Endpoint: httpx.Handle(http.StatusOK, s.SetSignInPolicy),
		},
	}
}

func (s *Service) handlePolicy(ctx context.Context, _ httpx.None) (SignInPolicy, error) {
	return s.SignInPolicy(ctx)
}
