package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// scopeWorld is a practice with records of several patients and practitioners, and users
// who may be linked to any of them.
type scopeWorld struct {
	*harness.Clinic
	linker                 *sql.DB // the connection that writes the links
	patients, staff, users []uuid.UUID

	authorizations, insurances, feeds, appointments, sessions map[uuid.UUID]owned
}

// owned is a record and its owners.
type owned struct{ patients, staff []uuid.UUID }

func openScopeWorld(t *testing.T) *scopeWorld {
	t.Helper()
	c := harness.Open(t)
	linker, err := sql.Open("pgx", dbtest.WithAllOrganizations(c.Database.RoleURL))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, linker.Close()) })
	w := &scopeWorld{
		Clinic: c, linker: linker, authorizations: map[uuid.UUID]owned{}, insurances: map[uuid.UUID]owned{},
		feeds: map[uuid.UUID]owned{}, appointments: map[uuid.UUID]owned{}, sessions: map[uuid.UUID]owned{},
	}
	admin := w.Admin()
	payer := admin.Post(t, "/payers", harness.Body{"name": "Acme Health"}).Created(t)
	paths := map[uuid.UUID]string{}
	for n := range 5 {
		p := w.Own.Patient
		if n > 0 {
			p = admin.Post(t, "/patients",
				harness.Body{"firstName": "A", "lastName": fmt.Sprintf("N%d", n), "dateOfBirth": "2019-01-01"}).Created(t)
		}
		w.patients = append(w.patients, p)
		insurance := admin.Post(t, "/insurances",
			harness.Body{"patientId": p, "payerId": payer, "memberNumber": "M", "startsOn": "2020-01-01"}).Created(t)
		w.insurances[insurance] = owned{patients: []uuid.UUID{p}}
		paths[p] = w.Authorize(t, 1000, harness.Body{"patientId": p, "insuranceId": insurance})
		admin.Post(t, paths[p]+"/reserve", harness.Body{"units": 800}).ReservationID(t) // so that it is at risk
		w.authorizations[uuid.MustParse(strings.TrimPrefix(paths[p], "/authorizations/"))] = owned{patients: []uuid.UUID{p}}
		feed := uuid.MustParse(admin.Post(t, "/patients/"+p.String()+"/calendar-feed", harness.Body{}).Text("id"))
		w.feeds[feed] = owned{patients: []uuid.UUID{p}}
	}
	for range 3 {
		practitioner := w.AddPractitioner(t)
		w.staff = append(w.staff, practitioner)
		feed := uuid.MustParse(admin.Post(t, "/practitioners/"+practitioner.String()+"/calendar-feed", harness.Body{}).
			Text("id"))
		w.feeds[feed] = owned{staff: []uuid.UUID{practitioner}}
	}
	at := w.At(t, -10, "09:00")
	for n := range 12 {
		group := []uuid.UUID{w.patients[n%5]}
		for range n % 3 {
			group = append(group, w.patients[(n+len(group))%5])
		}
		staff := []uuid.UUID{w.staff[n%3]}
		if n%4 == 0 {
			staff = append(staff, w.staff[(n+1)%3])
		}
		var taking []any
		for _, p := range group {
			taking = append(taking, harness.Body{
				"patientId": p, "authorizationId": strings.TrimPrefix(paths[p], "/authorizations/"),
			})
		}
		path := w.Book(t, w.Booking("", uuid.Nil, at, time.Hour, harness.Body{
			"patientId": nil, "authorizationId": nil, "practitionerId": nil, "patients": taking, "practitionerIds": staff,
		}))
		at = at.Add(2 * time.Hour)
		whose := owned{group, staff}
		w.appointments[uuid.MustParse(strings.TrimPrefix(path, "/appointments/"))] = whose
		if n%2 == 0 {
			done := admin.Post(t, path+"/complete", harness.Body{"narrative": "n"}).OK(t)
			w.sessions[uuid.MustParse(done.Body["session"].(map[string]any)["id"].(string))] = whose
		}
	}
	for _, role := range []rbac.Role{rbac.Technician, rbac.Patient, rbac.Practitioner} {
		w.users = append(w.users, uuid.MustParse(w.As(w.Own.Tokens[role]).Get(t, "/auth/me").Text("id")))
	}
	return w
}

// links are a user's links in the database.
type links struct {
	user         uuid.UUID
	practitioner uuid.UUID // uuid.Nil if there is none
	caseload     []uuid.UUID
	children     []uuid.UUID
	glass        uuid.UUID // patient of an emergency access grant, or uuid.Nil
}

// put replaces the links in the database.
func (w *scopeWorld) put(t testing.TB, l links) {
	t.Helper()
	var caseloads, guardians []string
	for n, p := range w.patients {
		for m, practitioner := range w.staff { // other users have caseloads too
			if practitioner == l.practitioner && slices.Contains(l.caseload, p) ||
				practitioner != l.practitioner && (n+m)%2 == 0 {
				caseloads = append(caseloads, fmt.Sprintf("('%s', '%s', '%s', now(), '%[2]s')", w.Own.ID, practitioner, p))
			}
		}
		for _, user := range w.users {
			if user == l.user && slices.Contains(l.children, p) || user != l.user && n%2 == 0 {
				guardians = append(guardians, fmt.Sprintf("('%s', '%s', '%s', 'GUARDIAN', now(), '%[2]s')", w.Own.ID, user, p))
			}
		}
	}
	w.write(t,
		"DELETE FROM caseloads; DELETE FROM guardians; UPDATE users SET practitioner_id = NULL WHERE practitioner_id IS "+
			"NOT NULL")
	if l.practitioner != uuid.Nil {
		w.write(t, fmt.Sprintf("UPDATE users SET practitioner_id = '%s' WHERE id = '%s'", l.practitioner, l.user))
	}
	if len(caseloads) > 0 {
		w.write(t, "INSERT INTO caseloads VALUES "+strings.Join(caseloads, ", "))
	}
	if len(guardians) > 0 {
		w.write(t, "INSERT INTO guardians VALUES "+strings.Join(guardians, ", "))
	}
}

func (w *scopeWorld) write(t testing.TB, statements string) {
	t.Helper()
	_, err := w.linker.ExecContext(t.Context(), statements)
	require.NoError(t, err)
}

// reaches is the model, without SQL: it reports whether a user with these links has
// access to the patient.
func (l links) reaches(s identity.Scope, patient uuid.UUID) bool {
	return s.Has(identity.Organization) ||
		s.Has(identity.Caseload) && l.practitioner != uuid.Nil && slices.Contains(l.caseload, patient) ||
		s.Has(identity.Child) && slices.Contains(l.children, patient) ||
		s != 0 && l.glass == patient
}

// broken returns the patient of the emergency access grant, if any.
func (l links) broken() *uuid.UUID {
	if l.glass == uuid.Nil {
		return nil
	}
	return &l.glass
}

func (l links) delivers(s identity.Scope, staff []uuid.UUID) bool {
	return s.Has(identity.Organization) ||
		s.Has(identity.Self) && l.practitioner != uuid.Nil && slices.Contains(staff, l.practitioner)
}

func (l links) sees(s identity.Scope, o owned) bool {
	return l.delivers(s, o.staff) || slices.ContainsFunc(o.patients, func(p uuid.UUID) bool { return l.reaches(s, p) })
}

// TestListsMatchSingleReads checks for all users, record scopes and links that a
// list has exactly the records that can be read singly, and that these match a model
// without SQL.
func TestListsMatchSingleReads(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	w := openScopeWorld(t)
	some := func(t *rapid.T, from []uuid.UUID, label string) []uuid.UUID {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, len(from), rapid.ID).Draw(t, label)
	}
	rapid.Check(t, func(r *rapid.T) {
		l := links{
			user:         rapid.SampledFrom(w.users).Draw(r, "user"),
			practitioner: rapid.SampledFrom(append([]uuid.UUID{uuid.Nil}, w.staff...)).Draw(r, "practitioner"),
			caseload:     some(r, w.patients, "caseload"), children: some(r, w.patients, "children"),
		}
		scope := identity.Scope(rapid.IntRange(0, 15).Draw(r, "scope"))
		requested := rapid.SampledFrom(append([]uuid.UUID{uuid.Nil}, w.patients...)).Draw(r, "patientId")
		l.glass = rapid.SampledFrom([]uuid.UUID{uuid.Nil, uuid.Nil, w.patients[0], w.patients[4]}).Draw(r, "glass")
		w.put(t, l)
		for _, item := range w.lists(requested) {
			ctx := identity.With(t.Context(), identity.Caller{
				UserID: l.user, OrganizationID: w.Own.ID, Acting: item.permission, GrantPatientID: l.broken(),
				Permissions: map[identity.Permission]identity.Scope{item.permission: scope},
			})
			var modelled, alone []uuid.UUID
			for id, whose := range item.records {
				if l.sees(scope, whose) {
					modelled = append(modelled, id)
				}
				if item.get == nil {
					continue
				}
				if exists, err := item.get(ctx, id); exists {
					alone = append(alone, id)
				} else {
					require.ErrorIs(r, err, item.absent)
				}
			}
			if item.get != nil {
				require.ElementsMatch(r, modelled, alone, "%s read singly", item.name)
			}
			listed, err := item.list(ctx)
			require.NoError(r, err)
			if item.filtered {
				modelled = slices.DeleteFunc(modelled, func(id uuid.UUID) bool {
					return requested != uuid.Nil && !slices.Contains(item.records[id].patients, requested)
				})
			}
			require.ElementsMatch(r, modelled, listed, "the list of %s", item.name)
		}
		w.requireParts(t, r, l, scope)
	})
}

// requireParts checks which participants of appointments and sessions are visible.
func (w *scopeWorld) requireParts(t *testing.T, r *rapid.T, l links, scope identity.Scope) {
	caller := identity.Caller{
		UserID: l.user, OrganizationID: w.Own.ID, Acting: permission.AppointmentRead, GrantPatientID: l.broken(),
		Permissions: map[identity.Permission]identity.Scope{permission.AppointmentRead: scope},
	}
	seen := func(o owned) []uuid.UUID {
		if l.delivers(scope, o.staff) {
			return o.patients
		}
		return slices.DeleteFunc(slices.Clone(o.patients), func(p uuid.UUID) bool { return !l.reaches(scope, p) })
	}
	page := db.Keyset{Column: "starts_at", Expression: "CAST(%s AS timestamptz)", Limit: 100}
	all, err := w.App.Appointments.List(identity.With(t.Context(), caller), appointments.Filter{Page: page})
	require.NoError(r, err)
	for _, a := range all {
		var shown []uuid.UUID
		for _, p := range a.Patients {
			shown = append(shown, p.PatientID)
		}
		require.Equal(r, seen(w.appointments[a.ID]), shown)
	}
	sessions, err := w.App.Appointments.Sessions(identity.With(t.Context(), caller),
		appointments.SessionFilter{Page: page})
	require.NoError(r, err)
	for _, s := range sessions {
		var shown []uuid.UUID
		for _, p := range s.Patients {
			shown = append(shown, p.PatientID)
		}
		require.Equal(r, seen(w.sessions[s.ID]), shown)
	}
}

// listed is a list, and the single read of its records.
type listed struct {
	name       string
	permission identity.Permission
	records    map[uuid.UUID]owned
	absent     error
	get        func(ctx context.Context, id uuid.UUID) (bool, error) // nil: no single read
	list       func(ctx context.Context) ([]uuid.UUID, error)
	filtered   bool // the list has a patient filter
}

func found[T any](_ T, err error) (bool, error) { return err == nil, err }

func idsOf[T any](all []T, err error, id func(T) uuid.UUID) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	for _, item := range all {
		ids = append(ids, id(item))
	}
	return ids, err
}

func (w *scopeWorld) lists(requested uuid.UUID) []listed {
	patients, staff := map[uuid.UUID]owned{}, map[uuid.UUID]owned{}
	for _, p := range w.patients {
		patients[p] = owned{patients: []uuid.UUID{p}}
	}
	for _, p := range w.staff {
		staff[p] = owned{staff: []uuid.UUID{p}}
	}
	page := db.Keyset{Limit: 100}
	byStart := db.Keyset{Column: "starts_at", Expression: "CAST(%s AS timestamptz)", Limit: 100}
	d, a, units := w.App.Directory, w.App.Appointments, w.App.Authorizations
	return []listed{
		{
			"patients", permission.PatientRead, patients, directory.ErrPatientNotFound,
			func(ctx context.Context, id uuid.UUID) (bool, error) { return found(d.Patient(ctx, id)) },
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := d.Patients(ctx, directory.PatientFilter{Page: page})
				return idsOf(all, err, func(p directory.Patient) uuid.UUID { return p.ID })
			}, false,
		}, {
			"practitioners", permission.PractitionerRead, staff, directory.ErrPractitionerNotFound,
			func(ctx context.Context, id uuid.UUID) (bool, error) { return found(d.Practitioner(ctx, id)) },
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := d.Practitioners(ctx, directory.PractitionerFilter{Page: page})
				return idsOf(all, err, func(p directory.Practitioner) uuid.UUID { return p.ID })
			}, false,
		}, {
			"availabilities", permission.AvailabilityRead, staff, appointments.ErrNoPractitioner,
			func(ctx context.Context, id uuid.UUID) (bool, error) { return found(a.Availability(ctx, id)) },
			func(ctx context.Context) ([]uuid.UUID, error) {
				var open []uuid.UUID
				for id := range staff {
					today := appointments.OpeningsQuery{PractitionerID: id, Length: time.Hour, Step: time.Hour}
					if exists, _ := found(a.Openings(ctx, today)); exists {
						open = append(open, id)
					}
				}
				return open, nil
			}, false,
		}, {
			"insurances", permission.InsuranceRead, w.insurances, directory.ErrInsuranceNotFound,
			func(ctx context.Context, id uuid.UUID) (bool, error) { return found(d.Insurance(ctx, id)) },
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := d.Insurances(ctx, directory.InsuranceFilter{Page: page, PatientID: requested})
				return idsOf(all, err, func(i directory.Insurance) uuid.UUID { return i.ID })
			}, true,
		}, {
			"authorizations", permission.AuthorizationRead, w.authorizations, authorization.ErrNotFound,
			func(ctx context.Context, id uuid.UUID) (bool, error) { return found(units.Get(ctx, id)) },
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := units.List(ctx, authorization.Filter{Page: page, PatientID: requested})
				return idsOf(all, err, func(v authorization.View) uuid.UUID { return v.ID })
			}, true,
		}, {
			"ledgers", permission.AuthorizationRead, w.authorizations, authorization.ErrNotFound,
			func(ctx context.Context, id uuid.UUID) (bool, error) { return found(units.Entries(ctx, id, 0, 1)) },
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := units.Utilization(ctx, authorization.Filter{Page: page, PatientID: requested})
				return idsOf(all, err, func(u authorization.Utilization) uuid.UUID { return u.ID })
			}, true,
		}, {
			"reservations, and expiring authorizations", permission.ReportRead, w.authorizations, authorization.ErrNotFound,
			func(ctx context.Context, id uuid.UUID) (bool, error) {
				all, _, err := units.Reservations(ctx, id, nil, uuid.Nil, 1)
				return found(all, err)
			},
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := units.Expiring(ctx, 365, nil, nil, 100)
				return idsOf(all, err, func(e authorization.Expiring) uuid.UUID { return e.ID })
			}, false,
		}, {
			"authorizations at risk", permission.ReportRead, w.authorizations, nil, nil,
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := units.AtRisk(ctx, []authorization.AlertKind{authorization.AlertUsed80}, nil, 100)
				return idsOf(all, err, func(a authorization.AtRisk) uuid.UUID { return a.ID })
			}, false,
		}, {
			"alerts", permission.ReportRead, w.authorizations, nil, nil,
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := units.Alerts(ctx, authorization.AlertFilter{Limit: 100})
				return idsOf(all, err, func(a authorization.Alert) uuid.UUID { return a.View.ID })
			}, false,
		}, {
			"previews of units", permission.AuthorizationPreview, w.authorizations, authorization.ErrNotFound,
			func(ctx context.Context, id uuid.UUID) (bool, error) {
				return found(units.PreviewReserve(ctx, id, authorization.NewReservation{Units: 1}))
			},
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := units.List(ctx, authorization.Filter{Page: page})
				return idsOf(all, err, func(v authorization.View) uuid.UUID { return v.ID })
			}, false,
		}, {
			"appointments", permission.AppointmentRead, w.appointments, appointments.ErrNotFound,
			func(ctx context.Context, id uuid.UUID) (bool, error) { return found(a.Get(ctx, id)) },
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := a.List(ctx, appointments.Filter{Page: byStart, Participants: participantsOf(requested)})
				return idsOf(all, err, func(item appointments.Appointment) uuid.UUID { return item.ID })
			}, true,
		}, {
			"sessions", permission.SessionRead, w.sessions, appointments.ErrSessionNotFound,
			func(ctx context.Context, id uuid.UUID) (bool, error) { return found(a.Session(ctx, id)) },
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := a.Sessions(ctx, appointments.SessionFilter{Page: byStart, Participants: participantsOf(requested)})
				return idsOf(all, err, func(s appointments.Session) uuid.UUID { return s.ID })
			}, true,
		}, {
			"calendar feeds", permission.CalendarManage, w.feeds, appointments.ErrFeedNotFound, nil,
			func(ctx context.Context) ([]uuid.UUID, error) {
				all, err := a.Feeds(ctx)
				return idsOf(all, err, func(f appointments.Feed) uuid.UUID { return f.ID })
			}, false,
		},
	}
}

// TestRecordScopesOfRoles calls the API as the default roles with limited scopes.
func TestRecordScopesOfRoles(t *testing.T) {
	t.Parallel()
	w := openScopeWorld(t)
	technician, family := w.As(w.Own.Tokens[rbac.Technician]), w.As(w.Own.Tokens[rbac.Patient])
	someOf := func(records map[uuid.UUID]owned, is func(owned) bool) uuid.UUID {
		for id, o := range records {
			if is(o) {
				return id
			}
		}
		t.Fatal("there is none")
		return uuid.Nil
	}

	t.Run("a user without links sees nothing", func(t *testing.T) {
		for _, path := range []string{"/patients", "/authorizations", "/appointments"} {
			require.Empty(t, technician.Get(t, path).OK(t).Body["data"], path)
			require.Empty(t, family.Get(t, path).OK(t).Body["data"], path)
			require.Empty(t, family.Get(t, path+"?limit=200").OK(t).Body["data"], path)
		}
		family.Get(t, "/patients/"+w.patients[0].String()).Refused(t, http.StatusNotFound, "patient-not-found")
	})

	mine, others := w.patients[3], w.patients[2]
	w.LinkUsers(t, w.Own, w.staff[0], mine)
	t.Run("naming another patient does not extend the scope", func(t *testing.T) {
		for _, path := range []string{"/authorizations", "/appointments"} {
			require.NotEmpty(t, family.Get(t, path+"?patientId="+mine.String()).OK(t).Body["data"], path)
			for _, item := range family.Get(t, path+"?patientId="+others.String()).OK(t).Body["data"].([]any) {
				require.Equal(t, "/appointments", path, "except records of both")
				require.Equal(t, mine.String(), item.(map[string]any)["patientId"], "and shows the user's own records")
			}
		}
		search := family.Post(t, "/patients/search", harness.Body{"lastName": "N"}).OK(t).Body["data"].([]any)
		require.Len(t, search, 1)
		require.Equal(t, mine.String(), search[0].(map[string]any)["id"])
	})
	t.Run("a record out of reach looks like a missing one", func(t *testing.T) {
		foreign := someOf(w.authorizations, func(o owned) bool { return o.patients[0] == others })
		for _, path := range []string{"", "/entries", "/reservations", "/available-units"} {
			exists := family.Get(t, "/authorizations/"+foreign.String()+path).
				Refused(t, http.StatusNotFound, "authorization-not-found")
			nowhere := family.Get(t, "/authorizations/"+uuid.NewString()+path).
				Refused(t, http.StatusNotFound, "authorization-not-found")
			require.Equal(t, nowhere.Text("detail"), exists.Text("detail"))
			require.Equal(t, slices.Sorted(maps.Keys(nowhere.Body)), slices.Sorted(maps.Keys(exists.Body)))
		}
	})
	t.Run("a family sees its own part of a group, and the practitioner sees all", func(t *testing.T) {
		group := someOf(w.appointments, func(o owned) bool {
			return len(o.patients) == 3 && slices.Contains(o.patients, mine) && slices.Contains(o.staff, w.staff[0])
		})
		a := family.Get(t, "/appointments/"+group.String()).OK(t)
		require.Len(t, a.Body["patients"], 1)
		require.Equal(t, mine.String(), a.Text("patientId"))
		for _, p := range w.patients {
			if p != mine {
				require.NotContains(t, string(a.Raw), p.String())
			}
		}
		require.Len(t, technician.Get(t, "/appointments/"+group.String()).OK(t).Body["patients"], 3)
	})
	t.Run("a record out of reach cannot be written", func(t *testing.T) {
		open := func(is func(owned) bool) string {
			return "/appointments/" + someOf(w.appointments, func(o owned) bool { return is(o) }).String()
		}
		strange := open(func(o owned) bool { return !slices.Contains(o.staff, w.staff[0]) })
		before := w.Admin().Get(t, strange).Raw
		for _, step := range []string{"/start", "/complete", "/no-show"} {
			technician.Post(t, strange+step, harness.Body{}).Refused(t, http.StatusNotFound, "appointment-not-found")
		}
		require.Equal(t, string(before), string(w.Admin().Get(t, strange).Raw))
		session := "/sessions/" +
			someOf(w.sessions, func(o owned) bool { return !slices.Contains(o.staff, w.staff[0]) }).String()
		technician.Put(t, session+"/note", harness.Body{"narrative": "mine now"}).
			Refused(t, http.StatusNotFound, "session-not-found")
		technician.Post(t, session+"/addenda", harness.Body{"text": "mine now"}).
			Refused(t, http.StatusNotFound, "session-not-found")
	})
	t.Run("removing a link removes its access", func(t *testing.T) {
		require.NotEmpty(t, family.Get(t, "/patients").OK(t).Body["data"])
		w.Exec(t, "DELETE FROM guardians")
		require.Empty(t, family.Get(t, "/patients").OK(t).Body["data"], "with the same access token")
	})
}

// participantsOf filters by a patient; uuid.Nil does not filter.
func participantsOf(patient uuid.UUID) appointments.Participants {
	if patient == uuid.Nil {
		return appointments.Participants{}
	}
	return appointments.Participants{Patients: []uuid.UUID{patient}}
}
