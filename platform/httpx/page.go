package httpx

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/fault"
)

// Page is one page of a list.
type Page[T any] struct {
	Data       []T     `json:"data"`       // The items of this page.
	NextCursor *string `json:"nextCursor"` // The cursor of the next page. Null on the last page.
}

// complete returns the page with an empty list instead of none, so that its JSON is [] and never null. A
// MarshalJSON would cost a second pass over every page: encoding/json checks and compacts its result.
func (p Page[T]) complete() any {
	if p.Data == nil {
		p.Data = []T{}
	}
	return p
}

// DefaultPageSize is the number of items per page if the client does not set a limit.
const DefaultPageSize = 20

// PageQuery are the parameters of a list. Embed it in the In of an endpoint.
type PageQuery struct {
	Limit  int    `query:"limit" validate:"omitempty,min=1,max=200"`
	Cursor string `query:"cursor" validate:"max=2000"`

	seal seal
	rows int // size of a table without a limit; 0 if the answer is not a table
}

// Size returns the maximum number of items of the page, 1 to 200, or [MaxTableRows] for
// a table without a limit.
func (q PageQuery) Size() int {
	switch {
	case q.Limit > 0:
		return q.Limit
	case q.rows > 0:
		return q.rows
	}
	return DefaultPageSize
}

// PageOf returns a page from up to one item more than the page size. The extra item
// shows that there is a next page. body converts an item to its API form. position
// returns what the cursor stores of the last item shown, typically its sort key.
// Cursors are encrypted, so clients cannot read it.
func PageOf[T, B any](q PageQuery, found []T, body func(T) B, position func(T) any) Page[B] {
	p := Page[B]{}
	if size := q.Size(); len(found) > size {
		found = found[:size]
		p.NextCursor = new(q.seal.close(position(found[size-1])))
	}
	p.Data = Bodies(found, body)
	return p
}

// Bodies returns the API forms of items, never nil.
func Bodies[T, B any](items []T, body func(T) B) []B {
	bodies := make([]B, len(items))
	for i, item := range items {
		bodies[i] = body(item)
	}
	return bodies
}

// DecodeCursor decodes the cursor into position, and leaves position unchanged on the
// first page. It returns [fault.ErrInvalid] for a cursor of another list, filter or
// order.
func (q PageQuery) DecodeCursor(position any) error {
	if q.Cursor == "" {
		return nil
	}
	if err := q.seal.open(q.Cursor, position); err != nil {
		return fault.InvalidFields(fault.Field{Field: "cursor", Code: "cursor", Message: "must be the nextCursor of an " +
			"earlier page of this list"}).Because(err)
	}
	return nil
}

// CursorKey encrypts cursors. A cursor may hold a sort key such as a name and ends up
// in URLs, so it must be unreadable, unforgeable and valid only for its list. Instances
// with the same secret accept each other's cursors.
type CursorKey struct{ sealer encryption.Sealer }

// NewCursorKey derives the key from the program's secrets. The first encrypts; cursors of the
// others stay valid.
func NewCursorKey(secrets ...[]byte) *CursorKey {
	return &CursorKey{encryption.New("cursors 1", secrets...)}
}

type cursorKey struct{}

// WithCursorKey returns a context in which lists encrypt their cursors with the key.
func WithCursorKey(ctx context.Context, key *CursorKey) context.Context {
	return context.WithValue(ctx, cursorKey{}, key)
}

// unkeyed is used for lists that are served without a key, as in tests.
var unkeyed = NewCursorKey(nil)

// seal is a key together with the scope of a cursor: list, filters and caller.
type seal struct {
	key   *CursorKey
	scope []byte
}

// sealed prepares the cursors of a request. The scope must be equal on the next page.
func (q *PageQuery) sealed(ctx context.Context, scope []byte) {
	key, _ := ctx.Value(cursorKey{}).(*CursorKey)
	q.seal = seal{key, scope}
}

func (q *PageQuery) paging() *PageQuery { return q }

func (s seal) sealer() encryption.Sealer {
	if s.key == nil {
		return unkeyed.sealer
	}
	return s.key.sealer
}

// close returns the position as an opaque text. It panics if the value cannot be
// encoded as JSON, which is a bug.
func (s seal) close(position any) string {
	text, err := json.Marshal(position)
	if err != nil {
		panic(fmt.Sprintf("httpx: a cursor cannot be made of %T: %v", position, err))
	}
	return base64.RawURLEncoding.EncodeToString(s.sealer().Seal(text, s.scope))
}

var errCursor = errors.New("httpx: invalid cursor")

func (s seal) open(text string, position any) error {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return errCursor
	}
	if b, err = s.sealer().Open(b, s.scope); err != nil {
		return errCursor
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // rejects cursors of an older version with other fields
	return d.Decode(position)
}
