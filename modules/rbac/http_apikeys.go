package rbac

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

const pathKeys = "/api-keys"

func (s *Service) apiKeyRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: pathKeys, Permission: permission.ApiKeyManage,
			Name: "createApiKey", Summary: "Create an API key",
			Description: "Lets another system act in the organization, as itself: send the `key` as `Authorization: Bearer …`. " +
				"It holds its permissions for the whole organization; the caller must hold each of them. It expires at " +
				"`expiresAt`, by default after a year, and works only from `networks`, if any are given. The key is returned " +
				"only in this answer.",
			Refusals: []*fault.Error{ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusCreated, s.handleCreateKey),
		},
		{
			Method: http.MethodGet, Path: pathKeys, Permission: permission.ApiKeyManage,
			Name: "listApiKeys", Summary: "List API keys",
			Description: "All API keys of the organization, the oldest first, without their texts. The list includes revoked and expired " +
				"keys, because the audit trail names them.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleKeys),
		},
		{
			Method: http.MethodGet, Path: pathKeys + "/:id", Permission: permission.ApiKeyManage,
			Name: "getApiKey", Summary: "Get an API key",
			Description: "One API key, without its text. If `actorId` of an audit event is not a user, it is an API key.",
			Refusals:    []*fault.Error{ErrKeyNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleKey),
		},
		{
			Method: http.MethodDelete, Path: pathKeys + "/:id", Permission: permission.ApiKeyManage,
			Name: "revokeApiKey", Summary: "Revoke an API key",
			Description: "All instances refuse the key from now on. The entry stays.",
			Refusals:    []*fault.Error{ErrKeyNotFound}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleRevokeKey),
		},
	}
}

// keyBody is an API key in the API.
type keyBody struct {
	ID          uuid.UUID             `json:"id"`
	Name        string                `json:"name"`
	Begins      string                `json:"begins"` // the first characters of the key, by which people recognize it
	Permissions []identity.Permission `json:"permissions"`
	Networks    []string              `json:"networks"` // networks from which it may be used, as CIDR; none: all
	OwnedBy     uuid.UUID             `json:"ownedBy"`  // the owner; the key is refused while this user is disabled
	CreatedBy   uuid.UUID             `json:"createdBy"`
	CreatedAt   time.Time             `json:"createdAt"`
	ExpiresAt   *time.Time            `json:"expiresAt"`  // null: never, for keys of earlier versions
	LastUsedAt  *time.Time            `json:"lastUsedAt"` // null: not yet; up to a minute late
	RevokedBy   *uuid.UUID            `json:"revokedBy"`
	RevokedAt   *time.Time            `json:"revokedAt"` // null: not revoked
}

// newKeyBody is a new API key with its text.
type newKeyBody struct {
	keyBody
	Key httpx.Secret `json:"key"`
}

// Location returns the path of the key.
func (b newKeyBody) Location() string { return "/api/v1" + pathKeys + "/" + b.ID.String() }

func keyBodyOf(k APIKey) keyBody {
	return keyBody{
		k.ID, k.Name, k.Begins, k.Permissions, k.Networks.texts(), k.OwnedBy, k.CreatedBy, k.CreatedAt.UTC(),
		inUTC(k.ExpiresAt), inUTC(k.LastUsedAt), k.RevokedBy, inUTC(k.RevokedAt),
	}
}

type newKeyRequest struct {
	Name        string                `json:"name" validate:"required,max=100,text"`
	Permissions []identity.Permission `json:"permissions" validate:"required,min=1,max=200"`
	// ExpiresAt is at most OMNI_API_KEY_MAX_LIFETIME from now; default: OMNI_API_KEY_LIFETIME from
	// now.
	ExpiresAt *time.Time `json:"expiresAt"`
	// Networks limits where the key may be used from: CIDR or single addresses, IPv4 or IPv6; none:
	// anywhere.
	Networks []string `json:"networks" validate:"max=20"`
}

func (s *Service) handleCreateKey(ctx context.Context, in newKeyRequest) (newKeyBody, error) {
	key, text, err := s.CreateKey(ctx, NewAPIKey(in))
	if err != nil {
		return newKeyBody{}, err
	}
	return newKeyBody{keyBodyOf(key), httpx.Secret(text)}, nil
}

type keysQuery struct {
	httpx.PageQuery
	OwnedBy uuid.UUID `query:"ownedBy"` // only keys of this owner
}

func (s *Service) handleKeys(ctx context.Context, in keysQuery) (httpx.Page[keyBody], error) {
	var after uuid.UUID
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[keyBody]{}, err
	}
	found, err := s.Keys(ctx, in.OwnedBy, after, in.Size()+1)
	return httpx.PageOf(in.PageQuery, found, keyBodyOf, func(k APIKey) any { return k.ID }), err
}

type keyByID struct {
	ID uuid.UUID `param:"id"`
}

func (s *Service) handleKey(ctx context.Context, in keyByID) (keyBody, error) {
	key, err := s.Key(ctx, in.ID)
	return keyBodyOf(key), err
}

func (s *Service) handleRevokeKey(ctx context.Context, in keyByID) (httpx.None, error) {
	return httpx.None{}, s.RevokeKey(ctx, in.ID)
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}
