package httpx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth is the maximum nesting depth of objects and lists in a body.
const maxDepth = 32

var (
	errNotUTF8 = errors.New("The body is not valid UTF-8.")                              //nolint:staticcheck // a sentence for people
	errDepth   = errors.New("The body is nested too deeply: at most 32 levels.")         //nolint:staticcheck // as above
	errEnds    = errors.New("The body is not valid JSON: it ends too early.")            //nolint:staticcheck // as above
	errObject  = errors.New("The body must be a JSON object, in braces: {\"name\": …}.") //nolint:staticcheck // as above
)

// checkSyntax returns an error unless the text is one valid JSON value in UTF-8 within
// maxDepth. The functions below rely on this check.
func checkSyntax(text []byte) error {
	if !utf8.Valid(text) {
		return errNotUTF8
	}
	if deeperThan(text, maxDepth) {
		return errDepth
	}
	if !json.Valid(text) {
		return syntaxOf(text)
	}
	return nil
}

// syntaxOf returns an error with the position of the syntax error. It does not repeat
// the text at that position.
func syntaxOf(text []byte) error {
	syntaxError, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(text, new(json.RawMessage)))
	if !ok || strings.Contains(syntaxError.Error(), "unexpected end") {
		return errEnds
	}
	before := text[:max(0, int(syntaxError.Offset)-1)]
	line, column := bytes.Count(before, []byte{'\n'})+1, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])+1
	return fmt.Errorf("The body is not valid JSON: see line %d, character %d.", line, column) //nolint:staticcheck // as above
}

// deeperThan reports whether brackets outside of strings are nested too deeply. The
// text need not be valid JSON.
func deeperThan(text []byte, limit int) bool {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// skipSpace returns the index of the next byte that is not white space.
func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\r' || text[i] == '\t') {
		i++
	}
	return i
}

// endOf returns the index after the value that begins at i, in valid JSON.
func endOf(text []byte, i int) int {
	switch text[i] {
	case '"':
		return endOfString(text, i)
	case '{', '[':
		depth := 0
		for {
			switch text[i] {
			case '"':
				i = endOfString(text, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			i++
			if depth == 0 {
				return i
			}
		}
	}
	for i < len(text) {
		switch text[i] {
		case ',', ']', '}', ' ', '\n', '\r', '\t':
			return i
		}
		i++
	}
	return i
}

func endOfString(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// eachMember calls fn for each member of the object, in order, until it returns
// false. The name is raw: quoted, with its escapes.
func eachMember(object []byte, fn func(name, value []byte) bool) {
	for i := skipSpace(object, 1); object[i] != '}'; {
		end := endOfString(object, i)
		name := object[i:end]
		i = skipSpace(object, skipSpace(object, end)+1) // past the colon
		end = endOf(object, i)
		if !fn(name, object[i:end]) {
			return
		}
		if i = skipSpace(object, end); object[i] == ',' {
			i = skipSpace(object, i+1)
		}
	}
}

// eachElement calls fn for each element of the list, in order, until it returns false.
func eachElement(list []byte, fn func(value []byte) bool) {
	for i := skipSpace(list, 1); list[i] != ']'; {
		end := endOf(list, i)
		if !fn(list[i:end]) {
			return
		}
		if i = skipSpace(list, end); list[i] == ',' {
			i = skipSpace(list, i+1)
		}
	}
}

// textOf returns the text of a raw JSON string. It returns false for NUL, which a
// database cannot store, and for unpaired surrogates, which encoding/json would
// silently replace.
func textOf(raw []byte) (text string, ok bool) {
	inner := raw[1 : len(raw)-1]
	escaped := false
	for i := 0; i < len(inner); i++ {
		if inner[i] != '\\' {
			continue
		}
		escaped = true
		i++
		if inner[i] != 'u' {
			continue
		}
		switch unit := hex4(inner[i+1:]); {
		case unit == 0, isLowSurrogate(unit):
			return "", false
		case isHighSurrogate(unit):
			rest := inner[i+5:]
			if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' || !isLowSurrogate(hex4(rest[2:])) {
				return "", false
			}
			i += 6
		}
		i += 4
	}
	if !escaped {
		return string(inner), true
	}
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}

func isHighSurrogate(unit int) bool { return unit >= 0xD800 && unit < 0xDC00 }
func isLowSurrogate(unit int) bool  { return unit >= 0xDC00 && unit < 0xE000 }

// hex4 parses four hexadecimal digits, which valid JSON guarantees.
func hex4(b []byte) int {
	n := 0
	for _, c := range b[:4] {
		switch {
		case c <= '9':
			n = n<<4 | int(c-'0')
		default:
			n = n<<4 | int(c|0x20-'a'+10)
		}
	}
	return n
}
