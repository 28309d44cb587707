package httpx_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/httpx"
)

// visit refers to a patient, to several practitioners, and to the authorization of each part.
type visit struct {
	PatientID       uuid.UUID   `json:"patientId"`
	PractitionerIDs []uuid.UUID `json:"practitionerIds"`
	LocationID      *uuid.UUID  `json:"locationId"`
	Parts           []visitPart `json:"parts"`
	visitReferences
}

type visitReferences struct {
	httpx.Displayed
	Patient       httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	Practitioners httpx.Expanded `json:"practitioners,omitempty" refers:"practitioner"`
	Location      httpx.Expanded `json:"location,omitempty" refers:"location"`
}

type visitPart struct {
	AuthorizationID uuid.UUID `json:"authorizationId"`
	httpx.Displayed
	Authorization httpx.Expanded `json:"authorization,omitempty" refers:"authorization"`
}

var ada, sam, kim, grant = uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}, uuid.UUID{4}

// answerOf returns the JSON of the visit. The caller may read Sam's record and not Kim's.
func answerOf(t *testing.T, expand ...string) string {
	t.Helper()
	endpoint := httpx.Handle(http.StatusOK, func(context.Context, httpx.None) (httpx.Page[visit], error) {
		return httpx.Page[visit]{Data: []visit{{
			PatientID: ada, PractitionerIDs: []uuid.UUID{sam, kim}, Parts: []visitPart{{AuthorizationID: grant}},
		}}}, nil
	})
	resolve := func(_ context.Context, wanted map[string]httpx.WantedRecords) (map[string]httpx.FoundRecords, error) {
		require.Equal(t, []uuid.UUID{sam, kim}, wanted["practitioner"].Texts)
		require.NotContains(t, wanted, "location", "there is no id")
		return map[string]httpx.FoundRecords{
			"patient": {Texts: map[uuid.UUID]*httpx.RecordText{ada: {Text: "Ada Stone"}}},
			"practitioner": {
				Texts:  map[uuid.UUID]*httpx.RecordText{sam: {Text: "Sam Hill"}, kim: {Text: "Kim Lee"}},
				Bodies: map[uuid.UUID]any{sam: map[string]string{"lastName": "Hill"}},
			},
			"authorization": {Texts: map[uuid.UUID]*httpx.RecordText{
				grant: {Text: "A-1", Payer: "Acme", AvailableUnits: new(7)},
			}},
		}, nil
	}
	request := httptest.NewRequestWithContext(httpx.WithReferences(t.Context(), resolve, expand), http.MethodGet, "/", nil)
	recorder := httptest.NewRecorder()
	require.NoError(t, endpoint.Serve(echo.New().NewContext(request, recorder)))
	return recorder.Body.String()
}

func TestReferencesHaveTexts(t *testing.T) {
	t.Parallel()
	require.JSONEq(t, `{"nextCursor": null, "data": [{
		"patientId": "01000000-0000-0000-0000-000000000000", "locationId": null,
		"practitionerIds": ["02000000-0000-0000-0000-000000000000", "03000000-0000-0000-0000-000000000000"],
		"display": {"patient": "Ada Stone", "practitioners": ["Sam Hill", "Kim Lee"]},
		"parts": [{
			"authorizationId": "04000000-0000-0000-0000-000000000000",
			"display": {"authorization": "A-1", "payer": "Acme", "availableUnits": 7}
		}]
	}]}`, answerOf(t))
}

func TestExpandedReferencesThatTheCallerMayNotReadAreNull(t *testing.T) {
	t.Parallel()
	answer := answerOf(t, "practitioners", "patient", "location")
	require.Contains(t, answer, `"practitioners":[{"lastName":"Hill"},null]`)
	require.Contains(t, answer, `"patient":null`)
	require.Contains(t, answer, `"location":null`)
	require.NotContains(t, answer, `"authorization":null`, "it was not expanded")
}

// TestReferencesNeedAnID requires that a wrong declaration prevents the program from starting.
func TestReferencesNeedAnID(t *testing.T) {
	t.Parallel()
	type withoutID struct {
		httpx.Displayed
		Patient httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	}
	type withoutDisplay struct {
		PatientID uuid.UUID      `json:"patientId"`
		Patient   httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	}
	require.Panics(t, func() {
		httpx.Handle(http.StatusOK, func(context.Context, httpx.None) (out withoutID, err error) { return })
	})
	require.Panics(t, func() {
		httpx.Handle(http.StatusOK, func(context.Context, httpx.None) (out withoutDisplay, err error) { return })
	})
}
