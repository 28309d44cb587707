package e2e

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// BenchmarkReads reads a patient, which is recorded before the answer, and a payer,
// which is not, on a durable server: with one client, and with 64.
func BenchmarkReads(b *testing.B) {
	database := dbtest.Of(dbtest.Server(b, false))
	opened, err := db.Open(b.Context(), db.Config{URL: database.AppURL, MaxConns: 20})
	require.NoError(b, err)
	b.Cleanup(opened.Close)
	c := harness.Serve(b, database, opened)
	payer := "/payers/" + c.Admin().Post(b, "/payers", harness.Body{"name": "Payer"}).Created(b).String()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	for name, path := range map[string]string{"recorded": "/patients/" + c.Own.Patient.String(), "not": payer} {
		read := func() {
			request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, c.URL+"/api/v1"+path, nil)
			if err != nil {
				b.Error(err)
				return
			}
			request.Header.Set("Authorization", "Bearer "+c.Admin().Token)
			response, err := client.Do(request)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				b.Errorf("it answered %d", response.StatusCode)
			}
		}
		b.Run(name+"/alone", func(b *testing.B) {
			for b.Loop() {
				read()
			}
		})
		b.Run(name+"/64", func(b *testing.B) {
			b.SetParallelism(32) // times GOMAXPROCS
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					read()
				}
			})
		})
	}
}
