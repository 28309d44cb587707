package rbac

import (
	"context"
	"net/http"

	"omnirapeutic/platform/httpx"
)

const pathPolicy = "/sign-in-policy"

func (s *Service) policyRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: pathPolicy, Permission: signInPolicyManage,
			Name: "getSignInPolicy", Summary: "Read the sign-in policy",
			Description: "What the organization asks of those who sign in with a password.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handlePolicy),
		},
		{
			Method: http.MethodPut, Path: pathPolicy, Permission: signInPolicyManage,
			Name: "setSignInPolicy", Summary: "Ask for a second factor, or not",
			Description: "With `secondFactorRequired`, whoever signs in with a password and has no second factor gets a sign-in that can do nothing but set one up (`enrolOnly`), from the next sign-in and the next refresh on; an access token that was issued before goes on until it ends. It is the same for whoever turns this on. Not asked are those who come from the identity provider, and API keys.",
			Endpoint:    httpx.Handle(http.StatusOK, s.SetSignInPolicy),
		},
	}
}

func (s *Service) handlePolicy(ctx context.Context, _ httpx.None) (SignInPolicy, error) {
	return s.SignInPolicy(ctx)
}
