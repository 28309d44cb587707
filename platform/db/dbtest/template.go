package dbtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Template is a migrated database with content shared by many tests. It is created for
// the first test that uses it. Safe for concurrent use.
type Template struct {
	fill func(t testing.TB, d Database)
	once sync.Once
	name string // empty if fill failed
}

// NewTemplate returns a template that fill populates. The cleanups that fill registers
// run when it returns, before the first clone.
func NewTemplate(fill func(t testing.TB, d Database)) *Template {
	return &Template{fill: fill}
}

// New clones the template. The clone is dropped when the test ends.
func (p *Template) New(t testing.TB) Database {
	t.Helper()
	p.once.Do(func() { p.name = p.filled(t) })
	require.NotEmpty(t, p.name, "another test has failed to fill the template")
	d := clone(t, p.name)
	d.template = p
	return d
}

// IsCloneOf reports whether the database is a clone of the template.
func (p *Template) IsCloneOf(d Database) bool { return d.template == p }

func (p *Template) filled(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("template_%d", count.Add(1))
	s := create(t, name, template)
	during := &filling{TB: t}
	defer during.end() // also if the test fails
	p.fill(during, of(s.server, s.proxy, name))
	return name
}

// filling is the test during which a template is filled.
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
