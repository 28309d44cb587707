package openapi

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/httpx"
)

func TestDeprecationsAreDescribed(t *testing.T) {
	t.Parallel()
	since, sunset := time.Date(2027, 1, 15, 0, 0, 0, 0, time.UTC), time.Date(2028, 1, 15, 0, 0, 0, 0, time.UTC)
	require.Equal(t, "This operation is deprecated from 2027-01-15.", describeDeprecation(httpx.Deprecation{Since: since}))
	require.Equal(t, "The field `name` is deprecated from 2027-01-15, and may be removed from 2028-01-15.",
		describeDeprecation(httpx.Deprecation{Field: "name", Since: since, Sunset: sunset}))
}

func TestDescriptionIsTheCommentOrTheRestOfIt(t *testing.T) {
	t.Parallel()
	for comment, want := range map[string]string{
		"The number of units.":                    "The number of units.",
		"Units is the number of units.":           "The number of units.",
		"Units are all units that are available.": "All units that are available.",
		"Whether the record is in use.":           "Whether the record is in use.",
		"Entry records one movement of units.":    "Entry records one movement of units.",
	} {
		text, err := description("Units", "Entry", comment)
		require.NoError(t, err)
		require.Equal(t, want, text)
	}
	text, err := description("entryBody", "Entry", "entryBody records one movement of units.")
	require.NoError(t, err)
	require.Equal(t, "Entry records one movement of units.", text)
}

func TestDescriptionIsRefusedUnlessItIsAWholeSentence(t *testing.T) {
	t.Parallel()
	for comment, reason := range map[string]string{
		"Units counts the units.":       `begins with "Units"`,
		"Units is where they are.":      `begins with "Where"`,
		"of the first patient.":         `begins with "of"`,
		"Null: not booked.":             `begins with "Null:"`,
		"The number of units":           "does not end with a full stop",
		"The result of [Service.Book].": "contains the Go term",
		"The end, or nil.":              "contains the Go term",
		"The rule, see Service.Verify.": "contains the Go term",
	} {
		_, err := description("Units", "", comment)
		require.ErrorContains(t, err, reason, comment)
	}
}

// described is a struct whose comments break the rules.
type described struct {
	ID          string `json:"id"`
	EntryID     string `json:"entryId"`
	PatientID   string `json:"patientId"`
	BookedUnits int    `json:"bookedUnits"` // The number of BookedUnits.
	Units       int    `json:"units"`
	Fine        int    `json:"fine"` // The number of things.
}

func TestErrorNamesEachUndescribedMember(t *testing.T) {
	t.Parallel()
	c := &checks{found: map[string]bool{}, unstated: map[string]string{}}
	comments := map[string]string{"BookedUnits": "The number of BookedUnits.", "Fine": "The number of things."}
	for _, f := range fieldsOf(reflect.TypeFor[described]()) {
		c.ofField(f, comments[f.field.Name])
	}
	err := c.err(Object{{"Entry", Object{}}})
	require.EqualError(t, err,
		"openapi.described.BookedUnits: the description \"The number of BookedUnits.\" names the member bookedUnits by its "+
			"Go name\n"+
			"openapi.described.PatientID: has no comment that describes patientId\n"+
			"openapi.described.Units: has no comment that describes units")
}

func TestSharedParametersHaveWholeSentences(t *testing.T) {
	t.Parallel()
	for name, text := range sharedParameters {
		_, err := description("", "", text)
		require.NoError(t, err, name)
	}
}
