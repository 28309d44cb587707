package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// billed are the values of a claim line that do not depend on the export.
func billed(line map[string]any) []any {
	return []any{line["sessionId"], line["serviceDate"], line["code"], line["units"], line["chargeCents"], line["placeOfService"]}
}

// claimOf returns the only claim of an export, and its lines.
func (o billingOffice) claimOf(t testing.TB, export string) (claim map[string]any, lines [][]any) {
	t.Helper()
	claims := o.biller().Get(t, "/billing/exports/"+export+"/claims").OK(t).Body["data"].([]any)
	require.Len(t, claims, 1)
	claim = claims[0].(map[string]any)
	for _, l := range claim["lines"].([]any) {
		lines = append(lines, billed(l.(map[string]any)))
	}
	return claim, lines
}

func (o billingOffice) void(t testing.TB, session string) {
	t.Helper()
	o.biller().Post(t, session+"/void", harness.Body{"appointment": "CANCELLED", "reason": "It did not take place."}).OK(t)
}

// A replacement replaces the whole claim, so the payer keeps only the lines that it has (X12
// 005010X222A1, loop 2300, CLM05-3; NUBC frequency code 7).
func TestVoidOfOneSessionReplacesTheClaimWithoutItsLine(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.deliver(t, o.authorization, 4)
	mistake := o.deliver(t, o.authorization, 3)
	o.deliver(t, o.authorization, 2)
	first := o.export(t).Created(t)
	_, before := o.claimOf(t, first.String())
	require.Len(t, before, 3)
	o.void(t, mistake)
	o.enterControlNumber(t, first, "ICN-1")
	second := o.export(t)
	second.Created(t)
	claim, after := o.claimOf(t, second.Text("id"))
	require.Equal(t, "7", claim["frequency"])
	require.Equal(t, [][]any{before[0], before[2]}, after, "the other lines are unchanged, and none is missing")
	require.EqualValues(t, 12600, claim["chargeCents"])
	require.Equal(t, map[string]int{"SUPERSEDED": 3, "EXPORTED": 2}, states(o.lines(t, "")))
	o.RequireClean(t)
}

func TestVoidOfAllSessionsVoidsTheClaimWithItsLines(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	sessions := []string{o.deliver(t, o.authorization, 3), o.deliver(t, o.authorization, 2)}
	first := o.export(t).Created(t)
	original, before := o.claimOf(t, first.String())
	for _, s := range sessions {
		o.void(t, s)
	}
	require.Equal(t, map[string]int{"SUPERSEDED": 2, "BLOCKED": 2}, states(o.lines(t, "")))
	o.enterControlNumber(t, first, "ICN-1")
	second := o.export(t).Created(t)
	claim, after := o.claimOf(t, second.String())
	require.Equal(t, "8", claim["frequency"])
	require.Equal(t, original["id"], claim["replacesClaimId"])
	require.Equal(t, before, after, "a void repeats the claim that the payer has")
	require.Empty(t, o.lines(t, "&state=READY"))
	o.export(t).Refused(t, http.StatusConflict, "nothing-ready")
	o.RequireClean(t)
	require.Equal(t, true, o.biller().Get(t, "/billing/reconciliation?"+o.days(t)).OK(t).Body["agrees"])
}

// supervised is what an 837P file says about one claim.
type supervised struct {
	frequency, authNumber, controlNumber, rendering, supervisor string
	services                                                    []string
}

// readClaim returns what a file with one claim says.
func readClaim(t testing.TB, o billingOffice, export string) supervised {
	t.Helper()
	f, err := readX12(downloaded(t, o, "/billing/exports/"+export+"/x12"))
	require.NoError(t, err)
	require.Empty(t, f.problems(), "%s", f)
	value := func(pattern string, element int) string {
		if at := f.first(pattern, 0); at >= 0 {
			return f.segments[at].at(element)
		}
		return ""
	}
	s := supervised{
		frequency: value("CLM", 5), authNumber: value("REF*G1", 2), controlNumber: value("REF*F8", 2),
		rendering: value("NM1*82", 9), supervisor: value("NM1*DQ", 9),
	}
	first := f.first("LX", 0)
	for at, segment := range f.segments {
		if segment.begins("SV1") {
			s.services = append(s.services, segment.at(1)+" "+segment.at(4))
		}
		require.False(t, at > first && (segment.begins("NM1*82") || segment.begins("NM1*DQ")), "it repeats the claim's")
	}
	require.Less(t, f.first("NM1*82", 0), f.first("NM1*DQ", 0), "loop 2310B is before loop 2310D")
	require.Less(t, f.first("NM1*DQ", 0), first)
	require.Less(t, f.first("REF*G1", 0), f.first("HI", 0))
	return s
}

// TestSupervisedClaimFromSessionToVoid follows a claim with supervisor, modifiers and corrections
// through all its files.
func TestSupervisedClaimFromSessionToVoid(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	supervisor := o.hire(t, "1245319599")
	at := harness.Body{"supervisingPractitionerId": supervisor, "placeOfService": "10"}
	one, two := o.deliver(t, o.authorization, 3, at), o.deliver(t, o.authorization, 2, at)
	first := o.export(t).Created(t)
	want := supervised{"10:B:1", "A-1", "", "1234567893", "1245319599", []string{"HC:97153:95 4", "HC:97153:95 4"}}
	require.Equal(t, want, readClaim(t, o, first.String()))

	o.enterControlNumber(t, first, "ICN-1")
	o.biller().Post(t, one+"/correct", harness.Body{"endTime": o.At(t, -3, "10:45"), "reason": "Left early."}).OK(t)
	second := o.export(t).Created(t)
	want.frequency, want.controlNumber, want.services[0] = "10:B:7", "ICN-1", "HC:97153:95 3"
	require.Equal(t, want, readClaim(t, o, second.String()))

	o.enterControlNumber(t, second, "ICN-2")
	o.void(t, one)
	o.void(t, two)
	third := o.export(t).Created(t)
	want.frequency, want.controlNumber = "10:B:8", "ICN-2"
	require.Equal(t, want, readClaim(t, o, third.String()))
	o.RequireClean(t)
}

// The supervisor of a claim applies to each line that names no other one. So a claim with an
// unsupervised line names its supervisors at the lines (X12 005010X222A1, loops 2310D, 2420D).
func TestX12SupervisorIsOnlyOnSupervisedLines(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	supervisor := o.hire(t, "1245319599")
	o.deliver(t, o.authorization, 3, harness.Body{"supervisingPractitionerId": supervisor})
	o.deliver(t, o.authorization, 2)
	f, err := readX12(downloaded(t, o, "/billing/exports/"+o.export(t).Created(t).String()+"/x12"))
	require.NoError(t, err)
	require.Empty(t, f.problems(), "%s", f)
	at := f.first("NM1*DQ", 0)
	require.Greater(t, at, f.first("LX*1", 0), "%s", f)
	require.Less(t, at, f.first("LX*2", 0), "%s", f)
	require.Equal(t, -1, f.first("NM1*DQ", at+1))
}

func TestFilesHaveNamesMediaTypesAndChecksums(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.deliver(t, o.authorization, 2)
	e := o.export(t)
	path := "/billing/exports/" + e.Created(t).String()
	var hashes []string
	for _, f := range e.Body["files"].([]any) {
		hashes = append(hashes, f.(map[string]any)["hash"].(string))
	}
	for file, media := range map[string]string{
		"csv": "text/csv; charset=utf-8", "json": "application/json", "x12": "application/EDI-X12; charset=utf-8",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.URL+"/api/v1"+path+"/"+file, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+o.Own.Tokens[rbac.Biller])
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, media, response.Header.Get("Content-Type"))
		require.Equal(t, "attachment; filename=claims-1."+file, response.Header.Get("Content-Disposition"))
		sum := sha256.Sum256([]byte(downloaded(t, o, path+"/"+file)))
		require.Equal(t, hex.EncodeToString(sum[:]), response.Header.Get("X-Checksum-SHA256"))
		require.True(t, slices.Contains(hashes, response.Header.Get("X-Checksum-SHA256")), "the export has the same one")
	}
	lines := o.biller().Get(t, path+"/json").OK(t).Body["lines"].([]any)
	require.Len(t, lines, 1, "it is an answer in JSON")
}
