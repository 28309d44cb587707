package httpx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is the maximum nesting depth of objects and lists in a body.
const maxDepth = 32

const whiteSpace = " \n\r\t"

var (
	errNotUTF8 = errors.New("The body is not valid UTF-8.")                              //nolint:staticcheck // a sentence for people
	errDepth   = errors.New("The body is nested too deeply: at most 32 levels.")         //nolint:staticcheck // as above
	errEnds    = errors.New("The body is not valid JSON: it ends too early.")            //nolint:staticcheck // as above
	errObject  = errors.New("The body must be a JSON object, in braces: {\"name\": …}.") //nolint:staticcheck // as above
)

// tokenReader reads the JSON tokens of a body. It accepts duplicate names and unpaired surrogates, which
// are reported as errors of their field.
type tokenReader struct {
	jsontext.Decoder
	source bytes.Buffer
}

var tokenReaders = sync.Pool{New: func() any { return new(tokenReader) }}

func borrowTokenReader(body []byte) *tokenReader {
	t := tokenReaders.Get().(*tokenReader)
	t.reset(body)
	return t
}

func returnTokenReader(t *tokenReader) {
	t.reset(nil) // releases the body
	tokenReaders.Put(t)
}

// reset starts again at the beginning of a body. The values that are read refer to the body.
func (t *tokenReader) reset(body []byte) {
	t.source = *bytes.NewBuffer(body)
	t.Reset(&t.source, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// checkSyntax returns an error unless the body is one JSON value in UTF-8 within maxDepth. Reading
// the value again cannot fail.
func (t *tokenReader) checkSyntax(body []byte) error {
	if !utf8.Valid(body) {
		return errNotUTF8
	}
	for {
		_, err := t.ReadToken()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errEnds
		case err != nil:
			return syntaxError(body, t.errorOffset(err))
		case t.StackDepth() > maxDepth:
			return errDepth
		case t.StackDepth() == 0:
			if rest := bytes.TrimLeft(body[t.InputOffset():], whiteSpace); len(rest) > 0 {
				return syntaxError(body, len(body)-len(rest))
			}
			t.reset(body)
			return nil
		}
	}
}

// errorOffset returns the offset of the first byte that is not valid.
func (t *tokenReader) errorOffset(err error) int {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return int(syntax.ByteOffset)
	}
	return int(t.InputOffset())
}

// syntaxError returns an error with the position of the byte. It does not repeat the text there.
func syntaxError(body []byte, offset int) error {
	before := body[:offset]
	line, column := bytes.Count(before, []byte{'\n'})+1, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])+1
	//nolint:staticcheck // a sentence for people
	return fmt.Errorf("The body is not valid JSON: see line %d, character %d.", line, column)
}

// value returns the next value as it is written. It is valid until the next call.
func (t *tokenReader) value() jsontext.Value {
	raw, _ := t.ReadValue() // cannot fail: see checkSyntax
	return raw
}

// forEach calls fn for each member or element of the next object or list until it returns false.
func (t *tokenReader) forEach(end jsontext.Kind, fn func() bool) {
	_, _ = t.ReadToken()
	for t.PeekKind() != end {
		if !fn() {
			return
		}
	}
	_, _ = t.ReadToken()
}

// skip passes over the next value.
func (t *tokenReader) skip() { _ = t.SkipValue() }

// textOf returns the text of a JSON string. It returns false for NUL, which a database cannot store,
// and for unpaired surrogates.
func textOf(raw jsontext.Value) (text string, ok bool) {
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	unquoted, err := jsontext.AppendUnquote(nil, raw)
	if err != nil || bytes.IndexByte(unquoted, 0) >= 0 {
		return "", false
	}
	return string(unquoted), true
}
