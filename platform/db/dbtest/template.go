package dbtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Template is a migrated database with content that many tests begin with: it is
// made once, for the first of them. Safe for concurrent use.
type Template struct {
	fill func(t testing.TB, d Database)
	once sync.Once
	name string // "" where it could not be filled
}

// NewTemplate returns a template that fill makes. What fill opens is closed before the
// first clone is made: the cleanups that it asks for run when it returns.
func NewTemplate(fill func(t testing.TB, d Database)) *Template {
	return &Template{fill: fill}
}

// New clones the template; the database is dropped when the test ends.
func (p *Template) New(t testing.TB) Database {
	t.Helper()
	p.once.Do(func() { p.name = p.filled(t) })
	require.NotEmpty(t, p.name, "another test has failed to fill the template")
	d := clone(t, p.name)
	d.template = p
	return d
}

// Made reports whether the database is a clone of the template.
func (p *Template) Made(d Database) bool { return d.template == p }

func (p *Template) filled(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("template_%d", count.Add(1))
	s := create(t, name, template)
	during := &filling{TB: t}
	defer during.end() // a test that fails leaves nothing open either
	p.fill(during, of(s.server, name))
	return name
}

// filling is a test for as long as it fills a template.
type filling struct {
	testing.TB
	cleanups []func()
}

func (f *filling) Cleanup(cleanup func()) { f.cleanups = append(f.cleanups, cleanup) }

func (f *filling) end() {
	for _, cleanup := range slices.Backward(f.cleanups) {
		cleanup()
	}
}
