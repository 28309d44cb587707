package directory

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

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
		s.serviceCodeRoutes(), s.servicePairRoutes(), s.locationRoutes(), s.diagnosisRoutes(), s.rateRoutes(),
		s.billingIdentityRoutes(), s.cancellationReasonRoutes(),
	)
	owners := map[identity.Permission]db.Owners{
		permission.PatientRead: patients.store.owners, permission.PatientChange: patients.store.owners,
		permission.InsuranceRead: insurances.store.owners, permission.InsuranceChange: insurances.store.owners,
		permission.PractitionerRead: practitioners.store.owners,
		permission.DiagnosisRead:    diagnoses.store.owners, permission.DiagnosisChange: diagnoses.store.owners,
	}
	for i, r := range all {
		all[i].RecordScopes = owners[r.Permission].Scopes()
		all[i].Eventual = r.Method == http.MethodGet && r.Endpoint.Takes("cursor")
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

// recordBody holds the common members of an organization's records.
type recordBody struct {
	ID             uuid.UUID `json:"id"`
	OrganizationID uuid.UUID `json:"organizationId"`
	Version        int       `json:"version"`
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt"`
}

// Revision returns the version, which the API returns as ETag.
func (b recordBody) Revision() int { return b.Version }

// handle returns an endpoint that answers with the body of the result.
func handle[In, T, B any](
	status int, do func(ctx context.Context, in In) (T, error), bodyOf func(T) B,
) httpx.Endpoint {
	return httpx.Handle(status, func(ctx context.Context, in In) (B, error) {
		result, err := do(ctx, in)
		return bodyOf(result), err
	})
}

func getRoute[T, B any](get func(ctx context.Context, id uuid.UUID) (T, error), bodyOf func(T) B) httpx.Endpoint {
	return handle(http.StatusOK, func(ctx context.Context, in byID) (T, error) { return get(ctx, in.ID) }, bodyOf)
}

// order is a sort order of a list, with a record's value of it.
type order[T any] struct {
	column, expression string
	value              func(T) string
}

// listing is the list of a noun in the API.
type listing[T, B any] struct {
	orders map[string]order[T] // by the names for sort
	idOf   func(T) uuid.UUID
	bodyOf func(T) B
	show   func(ctx context.Context, shown ...T) // records the shown records of patients; may be nil
}

// page returns one page in the order of sort: a key of the orders, or createdAt, which is the
// order of ids. A minus sign reverses it. find is called for one record more than fits on the page.
func (l listing[T, B]) page(
	ctx context.Context, q httpx.PageQuery, sort string, find func(context.Context, Page) ([]T, error),
) (httpx.Page[B], error) {
	name, descending := strings.CutPrefix(sort, "-")
	by := l.orders[name]
	p := Page{Column: by.column, Expression: by.expression, Descending: descending, Limit: q.Size() + 1}
	if err := q.DecodeCursor(&p.After); err != nil {
		return httpx.Page[B]{}, err
	}
	found, err := find(ctx, p)
	if l.show != nil {
		l.show(ctx, found[:min(len(found), q.Size())]...)
	}
	position := func(t T) any {
		at := db.Position{ID: l.idOf(t)}
		if by.value != nil {
			at.Value = by.value(t)
		}
		return at
	}
	return httpx.PageOf(q, found, l.bodyOf, position), err
}
