package db_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/identity"
)

// notesSchema has notes about patients (p1 to p4) by practitioners (a and b). It also has links of
// users to practitioners, of practitioners to patients, and of users to children.
const notesSchema = `
CREATE TABLE notes (organization_id uuid, id text, patient uuid, practitioner uuid, author uuid);
CREATE TABLE employed (organization_id uuid, account uuid, practitioner uuid);
CREATE TABLE assigned (organization_id uuid, practitioner uuid, patient uuid);
CREATE TABLE parents (organization_id uuid, account uuid, child uuid);
GRANT SELECT, INSERT ON notes, employed, assigned, parents TO omni_app;`

var noteLinks = db.Links{
	Practitioner: `SELECT practitioner FROM employed WHERE organization_id = @scope_organization
		AND account = @scope_user`,
	Caseload: `SELECT patient FROM assigned WHERE organization_id = @scope_organization AND practitioner IN
		(SELECT practitioner FROM employed WHERE organization_id = @scope_organization AND account = @scope_user)`,
	Children: `SELECT child FROM parents WHERE organization_id = @scope_organization AND account = @scope_user`,
}

var noteOwners = db.Owners{
	Patient:      "notes.patient IN (%s)",
	Practitioner: "notes.practitioner = (%s)",
	User:         "notes.author = %s",
}

func TestRecordScope(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	owner := connect(t, database.OwnerURL)
	owner.run(t, notesSchema)
	organization, other, user, stranger := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	a, b := uuid.New(), uuid.New()
	p1, p2, p3, p4 := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	owner.run(t,
		"INSERT INTO notes VALUES ($1, '1', $3, $7, $9), ($1, '2', $4, $8, $9), ($1, '3', $5, $8, $9), ($1, '4', $6, $8, "+
			"$10), ($2, '5', $3, $7, $9)",
		organization, other, p1, p2, p3, p4, a, b, stranger, user)
	owner.run(t, "INSERT INTO employed VALUES ($1, $2, $3)", organization, user, a)
	owner.run(t, "INSERT INTO assigned VALUES ($1, $2, $3)", organization, a, p2)
	owner.run(t, "INSERT INTO parents VALUES ($1, $2, $3)", organization, user, p3)
	plain := database.Open(t)
	linked := plain.WithLinks(noteLinks)

	read := func(t *testing.T, d *db.DB, scope identity.Scope, change func(*identity.Caller)) (ids []string, visible db.VisiblePeople) {
		t.Helper()
		caller := identity.Caller{
			UserID: user, OrganizationID: organization, Acting: "note:read",
			Permissions: map[identity.Permission]identity.Scope{"note:read": scope},
		}
		change(&caller)
		_, err := db.Snapshot(identity.With(t.Context(), caller), d, "read", func(ctx context.Context) (none, error) {
			tx, found, err := db.ScopedTenant(ctx, noteOwners)
			require.NoError(t, err)
			require.Equal(t, organization, found)
			require.NoError(t, tx.Table("notes").Order("id").Pluck("id", &ids).Error)
			records, err := db.RecordScopeOf(ctx)
			require.NoError(t, err)
			if !records.WholeOrganization() {
				visible, err = records.Visible(ctx, []uuid.UUID{p1, p2, p3, p4}, []uuid.UUID{a, b})
			}
			return none{}, err
		})
		require.NoError(t, err)
		return ids, visible
	}
	people := func(ids ...uuid.UUID) map[uuid.UUID]bool {
		all := map[uuid.UUID]bool{}
		for _, id := range ids {
			all[id] = true
		}
		return all
	}
	unchanged := func(*identity.Caller) {}
	for name, c := range map[string]struct {
		scope                   identity.Scope
		change                  func(*identity.Caller)
		notes                   []string
		patients, practitioners map[uuid.UUID]bool
	}{
		"the organization":     {identity.Organization, unchanged, []string{"1", "2", "3", "4"}, nil, nil},
		"the caseload":         {identity.Caseload, unchanged, []string{"2"}, people(p2), people()},
		"the own practitioner": {identity.Self, unchanged, []string{"1", "4"}, people(), people(a)},
		"children":             {identity.Child, unchanged, []string{"3"}, people(p3), people()},
		"several scopes add up": {
			identity.Caseload | identity.Child, unchanged,
			[]string{"2", "3"},
			people(p2, p3),
			people(),
		},
		"no scope": {0, unchanged, nil, people(), people()},
		"a user without links": {
			identity.Caseload | identity.Child, func(c *identity.Caller) { c.UserID = stranger }, nil,
			people(), people(),
		},
		"an emergency grant": {
			identity.Caseload, func(c *identity.Caller) { c.GrantPatientID = &p1 },
			[]string{"1", "2"},
			people(p1, p2), people(),
		},
		"a grant without a scope": {0, func(c *identity.Caller) { c.GrantPatientID = &p1 }, nil, people(), people()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notes, visible := read(t, linked, c.scope, c.change)
			require.ElementsMatch(t, c.notes, notes)
			require.Equal(t, db.VisiblePeople{Patients: c.patients, Practitioners: c.practitioners}, visible)
		})
	}

	t.Run("without link queries there are no links", func(t *testing.T) {
		t.Parallel()
		notes, visible := read(t, plain, identity.Caseload|identity.Child|identity.Self, unchanged)
		require.Equal(t, []string{"4"}, notes, "the user's own notes need no link")
		require.Equal(t, db.VisiblePeople{Patients: people(), Practitioners: people()}, visible)
	})
}

func TestOwnersNameTheScopesOfTheirTable(t *testing.T) {
	t.Parallel()
	require.Zero(t, db.Owners{}.Scopes())
	require.Equal(t, identity.Caseload|identity.Child, db.Owners{Patient: "x"}.Scopes())
	require.Equal(t, identity.Self, db.Owners{User: "x"}.Scopes())
	require.Equal(t, identity.Caseload|identity.Child|identity.Self, noteOwners.Scopes())
}
