package permissionset

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// loadTimeout limits the time for reading an organization's permission sets.
const loadTimeout = 5 * time.Second

// Reader returns the permissions of roles in an organization. Safe for concurrent use.
type Reader struct {
	database *db.DB
	store    store
	cache    cache
}

// NewReader returns a reader whose cache follows the revocations.
func NewReader(database *db.DB, revocations *revocation.Service) *Reader {
	r := &Reader{database: database}
	r.cache.load = r.changedSets
	revocations.OnPermissionsChanged(r.cache.forget)
	return r
}

// HeldBy returns the combined permissions of the roles in the caller's organization. It reads the
// permission sets in the transaction of the context, so that decisions hold at the commit.
func (r *Reader) HeldBy(ctx context.Context, roles []rbac.Role) (rbac.Held, error) {
	changed, err := r.store.sets(ctx)
	if err != nil {
		return nil, err
	}
	g := grants{changed: changedIn(changed)}
	return g.of(combine(rbac.RoleNames(roles))), nil
}

// Cached returns the combined permissions of the named roles in an organization, from memory. It
// reads the database at the first use after a change, and returns its error.
func (r *Reader) Cached(ctx context.Context, organization uuid.UUID, roleNames []string) (rbac.Held, error) {
	return r.cache.of(ctx, organization, combine(roleNames))
}

// changedSets returns the permission sets of an organization that differ from the defaults, by
// role.
func (r *Reader) changedSets(ctx context.Context, organization uuid.UUID) (map[rbac.Role]rbac.Held, error) {
	ctx = identity.With(db.FromPrimary(ctx), identity.System(organization))
	return db.Snapshot(ctx, r.database, "permission-set.load", func(ctx context.Context) (map[rbac.Role]rbac.Held, error) {
		changed, err := r.store.sets(ctx)
		return changedIn(changed), err
	})
}

// cache caches the permission sets of organizations. An organization's sets are loaded at their
// first use and again after [cache.forget]. Safe for concurrent use.
type cache struct {
	load    func(ctx context.Context, organization uuid.UUID) (map[rbac.Role]rbac.Held, error)
	mu      sync.RWMutex
	entries map[uuid.UUID]*cacheEntry
}

// cacheEntry holds the sets of one organization, loaded once.
type cacheEntry struct {
	once   sync.Once
	grants *grants
	err    error
}

// unchanged are the grants of every organization with the default sets.
var unchanged grants

// of returns the combined permissions of the roles in an organization.
func (c *cache) of(ctx context.Context, organization uuid.UUID, roles combination) (rbac.Held, error) {
	c.mu.RLock()
	e := c.entries[organization]
	c.mu.RUnlock()
	if e == nil {
		e = c.add(organization)
	}
	e.once.Do(func() { // concurrent callers share the result, even if one of them is cancelled
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		var changed map[rbac.Role]rbac.Held
		if changed, e.err = c.load(ctx, organization); len(changed) > 0 {
			e.grants = &grants{changed: changed}
		} else {
			e.grants = &unchanged
		}
	})
	if e.err != nil {
		c.drop(organization, e)
		return nil, e.err
	}
	return e.grants.of(roles), nil
}

// add returns the entry of an organization's sets.
func (c *cache) add(organization uuid.UUID) *cacheEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[organization]
	if e == nil {
		if c.entries == nil {
			c.entries = map[uuid.UUID]*cacheEntry{}
		}
		e = &cacheEntry{}
		c.entries[organization] = e
	}
	return e
}

// drop removes an entry that could not be loaded, so that the next caller loads it again.
func (c *cache) drop(organization uuid.UUID, failed *cacheEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[organization] == failed {
		delete(c.entries, organization)
	}
}

// forget removes an organization's sets from the cache, or all sets for [uuid.Nil]. Call it after
// a change is committed. A caller that is loading at that moment does not store its result; later
// callers load the committed sets.
func (c *cache) forget(organization uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if organization == uuid.Nil {
		c.entries = nil
		return
	}
	delete(c.entries, organization)
}

// combination is a set of roles: one bit for each, in the order of [rbac.Roles].
type combination uint16

var allRoles = rbac.Roles()

// combine returns the set of the named roles. Unknown names grant nothing.
func combine(names []string) combination {
	var c combination
	for _, name := range names {
		if i := slices.Index(allRoles, rbac.Role(name)); i >= 0 {
			c |= 1 << i
		}
	}
	return c
}

// grants caches the permissions of each combination of roles in an organization. There are at
// most 256 combinations, and few are in use. The zero value has the default permissions. Safe for
// concurrent use.
type grants struct {
	changed  map[rbac.Role]rbac.Held // the sets that the organization has changed
	combined sync.Map                // combination → rbac.Held
}

// of returns the combined permissions of the roles. The map is shared and read-only.
func (g *grants) of(c combination) rbac.Held {
	if found, ok := g.combined.Load(c); ok {
		return found.(rbac.Held)
	}
	union := rbac.Held{}
	for i, r := range allRoles {
		if c&(1<<i) == 0 {
			continue
		}
		set, ok := g.changed[r]
		if !ok {
			set = r.Defaults()
		}
		for p, scope := range set {
			union[p] |= scope
		}
	}
	first, _ := g.combined.LoadOrStore(c, union)
	return first.(rbac.Held)
}
