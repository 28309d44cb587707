package directory

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	all := slices.Concat(
		s.organizationRoutes(), s.patientRoutes(), s.practitionerRoutes(), s.payerRoutes(), s.insuranceRoutes(),
		s.serviceCodeRoutes(), s.servicePairRoutes(),
	)
	owners := map[identity.Permission]db.Owners{
		permission.PatientRead: patients.store.owners, permission.PatientChange: patients.store.owners,
		permission.InsuranceRead: insurances.store.owners, permission.InsuranceChange: insurances.store.owners,
		permission.PractitionerRead: practitioners.store.owners,
	}
	for i, r := range all {
		all[i].RecordScopes = owners[r.Permission].Scopes()
	}
	return all
}

func route(
	name, method, path string, permission identity.Permission, endpoint httpx.Endpoint, summary, description string,
	refusals ...*fault.Error,
) httpx.Route {
	return httpx.Route{
		Name: name, Method: method, Path: path, Permission: permission, Endpoint: endpoint,
		Summary: summary, Description: description, Refusals: refusals,
	}
}

// showing marks a route whose answer shows data of patients.
func showing(subject string, r httpx.Route) httpx.Route {
	r.Reads = subject
	return r
}

// readOnly marks a POST that changes nothing.
func readOnly(r httpx.Route) httpx.Route {
	r.ReadOnly = true
	return r
}

// apiPath is the path before every Location.
const apiPath = "/api/v1"

type byID struct {
	ID uuid.UUID `param:"id"`
}

func getRoute[T any](get func(ctx context.Context, id uuid.UUID) (T, error)) httpx.Endpoint {
	return httpx.Handle(http.StatusOK, func(ctx context.Context, in byID) (T, error) { return get(ctx, in.ID) })
}

// order is a sort order of a list, with a record's value of it.
type order[T any] struct {
	column, expression string
	value              func(T) string
}

// pageOf lists one page in the order of sort: a key of orders, or createdAt, which is the order
// of ids. A minus sign reverses it. find is called for one record more than fits on the page.
func pageOf[T any](
	q httpx.PageQuery, sort string, orders map[string]order[T], idOf func(T) uuid.UUID, find func(Page) ([]T, error),
) (httpx.Page[T], error) {
	name, descending := strings.CutPrefix(sort, "-")
	by := orders[name]
	p := Page{Column: by.column, Expression: by.expression, Descending: descending, Limit: q.Size() + 1}
	if err := q.DecodeCursor(&p.After); err != nil {
		return httpx.Page[T]{}, err
	}
	found, err := find(p)
	position := func(t T) any {
		at := db.Position{ID: idOf(t)}
		if by.value != nil {
			at.Value = by.value(t)
		}
		return at
	}
	return httpx.PageOf(q, found, func(t T) T { return t }, position), err
}
