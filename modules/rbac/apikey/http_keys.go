package apikey

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

const path = "/api-keys"

// Routes returns the operations on API keys.
func (s *Service) Routes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: path, Permission: permission.APIKeyManage,
			Name: "createApiKey", Summary: "Create an API key",
			Description: "Lets another system act in the organization, as itself: send the `key` as `Authorization: Bearer " +
				"…`. It holds its permissions for the whole organization; the caller must hold each of them. It expires at " +
				"`expiresAt`, by default after a year, and works only from `networks`, if any are given. The key is returned " +
				"only in this answer.",
			Refusals: []*fault.Error{identity.ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusCreated, s.handleCreate),
		},
		{
			Method: http.MethodGet, Path: path, Permission: permission.APIKeyManage,
			Name: "listApiKeys", Summary: "List API keys",
			Description: "All API keys of the organization, the oldest first, without their texts. The list includes revoked " +
				"and expired keys, because the audit trail names them.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleList),
		},
		{
			Method: http.MethodGet, Path: path + "/:id", Permission: permission.APIKeyManage,
			Name: "getApiKey", Summary: "Get an API key",
			Description: "One API key, without its text. If `actorId` of an audit event is not a user, it is an API key.",
			Refusals:    []*fault.Error{ErrNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleKey),
		},
		{
			Method: http.MethodDelete, Path: path + "/:id", Permission: permission.APIKeyManage,
			Name: "revokeApiKey", Summary: "Revoke an API key",
			Description: "All instances refuse the key from now on. The entry stays.",
			Refusals:    []*fault.Error{ErrNotFound}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleRevoke),
		},
	}
}

// KeyBody is an API key.
type KeyBody struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"` // The purpose of the key.
	// The first characters of the key, by which people recognize it.
	Prefix string `json:"begins"`
	// The permissions that the key holds for the whole organization.
	Permissions []identity.Permission `json:"permissions"`
	// The networks from which the key may be used, as CIDR. An empty list allows all.
	Networks []string `json:"networks"`
	// The user who owns the key. The key is refused while this user is disabled.
	OwnedBy   uuid.UUID `json:"ownedBy"`
	CreatedBy uuid.UUID `json:"createdBy"` // The user who created the key.
	CreatedAt time.Time `json:"createdAt"` // The time at which the key was created.
	// The time at which the key expires. It is null for keys of earlier versions, which never expire.
	ExpiresAt *time.Time `json:"expiresAt"`
	// The time of the last use, up to a minute late. It is null if the key was never used.
	LastUsedAt *time.Time `json:"lastUsedAt"`
	// The user who revoked the key. It is null if the key was not revoked.
	RevokedBy *uuid.UUID `json:"revokedBy"`
	// The time at which the key was revoked. It is null if it was not.
	RevokedAt *time.Time `json:"revokedAt"`
	// The version of the API for requests that choose none, such as `2027-01-15`. It is null for the default.
	APIVersion *string `json:"apiVersion"`
}

// newKeyBody is a new API key with its text.
type newKeyBody struct {
	KeyBody
	// The text of the key. It is null if the request is repeated with its Idempotency-Key, because it
	// is not stored.
	Key httpx.Secret `json:"key"`
}

// Location returns the path of the key.
func (b newKeyBody) Location() string { return rbac.BasePath + path + "/" + b.ID.String() }

// Body returns a key in the API.
func Body(k Key) KeyBody {
	return KeyBody{
		k.ID, k.Name, k.Prefix, k.Permissions, k.Networks.Texts(), k.OwnedBy, k.CreatedBy, k.CreatedAt.UTC(),
		rbac.InUTC(k.ExpiresAt), rbac.InUTC(k.LastUsedAt), k.RevokedBy, rbac.InUTC(k.RevokedAt),
		k.APIVersion,
	}
}

type newKeyRequest struct {
	Name string `json:"name" validate:"required,max=100,text"` // The purpose of the key.
	// The permissions of the key. The caller must hold each for the whole organization.
	Permissions []identity.Permission `json:"permissions" validate:"required,min=1,max=200"`
	// The time at which the key expires: at most OMNI_API_KEY_MAX_LIFETIME from now. The default is
	// OMNI_API_KEY_LIFETIME from now.
	ExpiresAt *time.Time `json:"expiresAt"`
	// The networks from which the key may be used: CIDR or single addresses, IPv4 or IPv6. An empty
	// list allows all.
	Networks []string `json:"networks" validate:"max=20"`
	// The version of the API for requests that choose none with the header `API-Version`. The default is the
	// oldest version.
	APIVersion *string `json:"apiVersion"`
}

func (s *Service) handleCreate(ctx context.Context, in newKeyRequest) (newKeyBody, error) {
	key, text, err := s.Create(ctx, NewKey(in))
	if err != nil {
		return newKeyBody{}, err
	}
	return newKeyBody{Body(key), httpx.Secret(text)}, nil
}

type keysQuery struct {
	httpx.PageQuery
	OwnedBy uuid.UUID `query:"ownedBy"` // The owner of the listed keys.
}

func (s *Service) handleList(ctx context.Context, in keysQuery) (httpx.Page[KeyBody], error) {
	var after uuid.UUID
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[KeyBody]{}, err
	}
	found, err := s.List(ctx, in.OwnedBy, after, in.Size()+1)
	return httpx.PageOf(in.PageQuery, found, Body, func(k Key) any { return k.ID }), err
}

type byID struct {
	ID uuid.UUID `param:"id"`
}

func (s *Service) handleKey(ctx context.Context, in byID) (KeyBody, error) {
	key, err := s.Key(ctx, in.ID)
	return Body(key), err
}

func (s *Service) handleRevoke(ctx context.Context, in byID) (httpx.None, error) {
	return httpx.None{}, s.Revoke(ctx, in.ID)
}
