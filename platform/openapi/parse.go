package openapi

import (
	"bytes"
	"encoding/json"
)

// Parse parses a JSON object and keeps the order of its members. Objects inside it are of type
// [*Object], arrays of type []any, and numbers of type [json.Number].
func Parse(text []byte) (*Object, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	value, err := parseValue(d)
	if err != nil {
		return nil, err
	}
	object, ok := value.(*Object)
	if !ok {
		return nil, &json.UnmarshalTypeError{Value: "value that is not an object"}
	}
	return object, nil
}

func parseValue(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return parseObject(d)
	case json.Delim('['):
		return parseArray(d)
	}
	return token, nil
}

func parseObject(d *json.Decoder) (*Object, error) {
	object := &Object{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		value, err := parseValue(d)
		if err != nil {
			return nil, err
		}
		*object = append(*object, member{text(name), value})
	}
	_, err := d.Token() // the closing brace
	return object, err
}

func parseArray(d *json.Decoder) ([]any, error) {
	array := []any{}
	for d.More() {
		value, err := parseValue(d)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	_, err := d.Token() // the closing bracket
	return array, err
}
