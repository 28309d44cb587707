package httpx

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

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
}

// Size returns how many items the page may have, 1 to 200.
func (q PageQuery) Size() int {
	if q.Limit == 0 {
		return DefaultPageSize
	}
	return q.Limit
}

// PageOf makes a page from what was found when one item more than size was asked
// for: the one too many says that there is a next page. body turns an item into
// what clients see; position is what [EncodeCursor] keeps of the last one shown.
func PageOf[T, B any](found []T, size int, body func(T) B, position func(T) any) Page[B] {
	p := Page[B]{}
	if len(found) > size {
		found = found[:size]
		p.NextCursor = new(EncodeCursor(position(found[size-1])))
	}
	p.Data = make([]B, len(found))
	for i, item := range found {
		p.Data[i] = body(item)
	}
	return p
}

// EncodeCursor makes an opaque cursor of a position in a list. The position ends
// up in URLs: it is made of ids, sequence numbers and instants, never of names
// or other health data. A value that JSON cannot hold is a bug and panics.
func EncodeCursor(position any) string {
	b, err := json.Marshal(position)
	if err != nil {
		panic(fmt.Sprintf("httpx: a cursor cannot be made of %T: %v", position, err))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// DecodeCursor reads the position back into what position points to, and leaves
// it alone on the first page. A cursor that this list did not give is a
// [fault.ErrInvalid] that names the parameter.
func (q PageQuery) DecodeCursor(position any) error {
	if q.Cursor == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err = d.Decode(position); err == nil && (d.More() || string(b) == "null") {
			err = errAfterCursor
		}
	}
	if err != nil {
		return fault.InvalidFields(fault.Field{Field: "cursor", Code: "cursor", Message: "must be a nextCursor that this list gave"}).Because(err)
	}
	return nil
}
