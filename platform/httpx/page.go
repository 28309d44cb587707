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
	Data       []T     `json:"data"`
	NextCursor *string `json:"nextCursor"` // nil on the last page
}

// MarshalJSON writes an empty list as [], never as null.
func (p Page[T]) MarshalJSON() ([]byte, error) {
	if p.Data == nil {
		p.Data = []T{}
	}
	type plain Page[T]
	return json.Marshal(plain(p))
}

// DefaultPageSize is how many items a page has when the client does not say.
const DefaultPageSize = 20

// PageQuery are the parameters of a list; embed it in the In of an endpoint.
type PageQuery struct {
	Limit  int    `query:"limit" validate:"omitempty,min=1,max=200"`
	Cursor string `query:"cursor" validate:"max=2000"`

	seal seal
	rows int // the size of a table for which no limit is given; 0: this is none
}

// Size returns how many items the page may have, 1 to 200, or [MaxTableRows] for a
// table without a limit.
func (q PageQuery) Size() int {
	switch {
	case q.Limit > 0:
		return q.Limit
	case q.rows > 0:
		return q.rows
	}
	return DefaultPageSize
}

// PageOf makes a page from what was found when one item more than the page may
// have was asked for: the one too many says that there is a next page. body turns
// an item into what clients see; position is what the cursor keeps of the last one
// shown. It may hold whatever the list is sorted by: a cursor cannot be read.
func PageOf[T, B any](q PageQuery, found []T, body func(T) B, position func(T) any) Page[B] {
	p := Page[B]{}
	if size := q.Size(); len(found) > size {
		found = found[:size]
		p.NextCursor = new(q.seal.close(position(found[size-1])))
	}
	p.Data = make([]B, len(found))
	for i, item := range found {
		p.Data[i] = body(item)
	}
	return p
}

// DecodeCursor reads the position back into what position points to, and leaves
// it alone on the first page. A cursor that this list, with the same filters and
// in the same order, did not give is a [fault.ErrInvalid] that names the parameter.
func (q PageQuery) DecodeCursor(position any) error {
	if q.Cursor == "" {
		return nil
	}
	if err := q.seal.open(q.Cursor, position); err != nil {
		return fault.InvalidFields(fault.Field{Field: "cursor", Code: "cursor", Message: "must be a nextCursor that this list gave"}).Because(err)
	}
	return nil
}

// CursorKey seals cursors: they cannot be read, since they may hold what a list is
// sorted by, such as a name, and end up in URLs; nor made, nor used elsewhere.
// Instances with the same secret take each other's.
type CursorKey struct{ sealer encryption.Sealer }

// NewCursorKey derives the key from the program's secrets. The first seals; cursors of the others
// stay valid.
func NewCursorKey(secrets ...[]byte) *CursorKey {
	return &CursorKey{encryption.New("cursors 1", secrets...)}
}

type cursorKey struct{}

// WithCursorKey returns a context in which lists seal their cursors with the key.
func WithCursorKey(ctx context.Context, key *CursorKey) context.Context {
	return context.WithValue(ctx, cursorKey{}, key)
}

// unkeyed is for lists that are served without a key, as in tests.
var unkeyed = NewCursorKey(nil)

// seal is a key together with what a cursor is good for: the list, the filters,
// the caller.
type seal struct {
	key   *CursorKey
	scope []byte
}

// sealed prepares the cursors of a request. scope is what must be the same on the
// next page.
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

// close makes an opaque text of a position. A value that JSON cannot hold is a
// bug and panics.
func (s seal) close(position any) string {
	text, err := json.Marshal(position)
	if err != nil {
		panic(fmt.Sprintf("httpx: a cursor cannot be made of %T: %v", position, err))
	}
	return base64.RawURLEncoding.EncodeToString(s.sealer().Seal(text, s.scope))
}

var errCursor = errors.New("httpx: a cursor that was not given here")

func (s seal) open(text string, position any) error {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return errCursor
	}
	if b, err = s.sealer().Open(b, s.scope); err != nil {
		return errCursor
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // an older program's cursor of another shape
	return d.Decode(position)
}
