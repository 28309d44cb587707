package openapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/openapi"
)

func TestParsedDocumentsKeepOrderAndNumbers(t *testing.T) {
	const text = `{
  "b": 1.50,
  "a": [
    {
      "z": null,
      "y": true
    },
    [],
    "<&>"
  ],
  "c": {}
}
`
	document, err := openapi.Parse([]byte(text))
	require.NoError(t, err)
	written, err := document.Indented()
	require.NoError(t, err)
	require.Equal(t, text, string(written)) //nolint:testifylint // the order of members counts
}

func TestParseRefusesOtherValuesThanObjects(t *testing.T) {
	for _, text := range []string{``, `[]`, `1`, `{"a":`, `{"a":1`} {
		_, err := openapi.Parse([]byte(text))
		require.Error(t, err, text)
	}
}
