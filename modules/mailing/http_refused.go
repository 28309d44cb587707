package mailing

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/permission"
)

// Routes returns the operations on mail.
func (s *Service) Routes() []httpx.Route {
	return append(s.preferenceRoutes(), []httpx.Route{
		{
			Method: http.MethodGet, Path: "/mail/refused-addresses", Permission: permission.UserRead,
			Name: "listRefusedAddresses", Summary: "List addresses that refuse mail",
			Description: "Addresses whose mail server has permanently refused mail of this organization, the oldest first. " +
				"They get no more mail. Correct the address of the user or invite the person again, or clear the entry once the " +
				"address works again.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleRefused),
		},
		{
			Method: http.MethodDelete, Path: "/mail/refused-addresses/:id", Permission: permission.UserChange,
			Name: "clearRefusedAddress", Summary: "Clear an address that refuses mail",
			Description: "The address gets mail again. Mail that was withheld is not sent. The next refusal adds the address " +
				"again.",
			Refusals: []*fault.Error{ErrRefusedAddressNotFound},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleClear),
		},
	}...)
}

// refusedAddressBody is an address that gets no mail.
type refusedAddressBody struct {
	ID    uuid.UUID `json:"id"`
	Email string    `json:"email"` // The address.
	// The user for whom the refused mail was meant. It is null if the person is not a user yet.
	UserID *uuid.UUID `json:"userId"`
	Kind   mail.Kind  `json:"kind"` // The kind of the refused mail.
	// The codes of the mail server's reply, such as 550 5.1.1 (RFC 5321 and RFC 3463).
	Reply     string    `json:"reply"`
	RefusedAt time.Time `json:"refusedAt"` // The time of the last refusal.
}

func refusedBody(a RefusedAddress) refusedAddressBody {
	return refusedAddressBody{a.ID, a.Address, a.UserID, a.Kind, a.Reply, a.RefusedAt.UTC()}
}

func (s *Service) handleRefused(ctx context.Context, in httpx.PageQuery) (httpx.Page[refusedAddressBody], error) {
	k := db.Keyset{Limit: in.Size() + 1}
	if err := in.DecodeCursor(&k.After); err != nil {
		return httpx.Page[refusedAddressBody]{}, err
	}
	found, err := s.ListRefused(ctx, k)
	return httpx.PageOf(in, found, refusedBody, func(a RefusedAddress) any { return db.Position{ID: a.ID} }), err
}

func (s *Service) handleClear(ctx context.Context, in struct {
	ID uuid.UUID `param:"id"`
},
) (httpx.None, error) {
	return httpx.None{}, s.Clear(ctx, in.ID)
}
