package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// BenchmarkReadsDuringHostileSignIns measures signed-in reads alone, and then during an attack: 150
// connections from one network address guess passwords, each 100 ms after the last answer.
// Meanwhile a user signs in every half second, from another network and, with a device token, from
// the attacker's. It fails if p95 grows to five times the idle one, or if a sign-in is refused.
//
//	go test ./e2e -run '^$' -bench BenchmarkReadsDuringHostileSignIns -benchtime 1x
func BenchmarkReadsDuringHostileSignIns(b *testing.B) {
	database := dbtest.Of(dbtest.Server(b, false))
	opened, err := db.Open(b.Context(), db.Config{URL: database.AppURL, MaxConns: 20})
	require.NoError(b, err)
	b.Cleanup(opened.Close)
	c := &harness.Clinic{
		Database: database, RealPasswords: true,
		Settings: []string{"OMNI_FAILURE_RATE_LIMIT=0.2", "OMNI_TRUSTED_PROXIES=127.0.0.0/8"},
	}
	c.Start(b, opened)
	c.AddPractices(b)
	const hostile, office = "192.0.2.66", "198.51.100.7"
	path := "/patients/" + c.Own.Patient.String()
	device := callerAt(c, office, "").Post(b, "/auth/login", harness.Body{
		"email": "biller@own.test", "password": harness.Password,
	}).OK(b).
		Text("deviceToken")
	for b.Loop() {
		idle := measureReads(b, c, path, 5*time.Second)
		attack, stop := context.WithCancel(b.Context())
		var attackers sync.WaitGroup
		var guesses, looked atomic.Int64
		for i := range 150 {
			attackers.Go(func() { guessPassword(attack, c, hostile, i, &guesses, &looked) })
		}
		signedIn := make(chan struct{})
		go func() {
			defer close(signedIn)
			for attack.Err() == nil {
				for from, token := range map[string]string{office: "", hostile: device} {
					status := attemptSignIn(attack, c, from, "biller@own.test", harness.Password, token)
					if status != http.StatusOK && attack.Err() == nil {
						b.Errorf("a sign-in from %s was answered with %d", from, status)
					}
				}
				time.Sleep(500 * time.Millisecond)
			}
		}()
		time.Sleep(2 * time.Second) // until the attacker's burst is spent
		attacked := measureReads(b, c, path, 10*time.Second)
		stop()
		attackers.Wait()
		<-signedIn
		b.ReportMetric(float64(p95(idle).Microseconds())/1000, "idle-p95-ms")
		b.ReportMetric(float64(p95(attacked).Microseconds())/1000, "attacked-p95-ms")
		b.ReportMetric(float64(guesses.Load()), "guesses")
		b.ReportMetric(float64(looked.Load()), "guesses-looked-at")
		if p95(attacked) >= 5*p95(idle) {
			b.Errorf("p95 of a signed-in read is %s during the attack, and %s without it", p95(attacked), p95(idle))
		}
	}
}

func p95(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)*95/100]
}

// measureReads reads sequentially, and returns the duration of each read.
func measureReads(b *testing.B, c *harness.Clinic, path string, long time.Duration) []time.Duration {
	b.Helper()
	var all []time.Duration
	for end := time.Now().Add(long); time.Now().Before(end); {
		begin := time.Now()
		request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, c.URL+"/api/v1"+path, nil)
		require.NoError(b, err)
		request.Header.Set("Authorization", "Bearer "+c.Own.Tokens[rbac.Admin])
		response, err := http.DefaultClient.Do(request)
		require.NoError(b, err)
		_, _ = io.Copy(io.Discard, response.Body)
		require.NoError(b, response.Body.Close())
		require.Equal(b, http.StatusOK, response.StatusCode)
		all = append(all, time.Since(begin))
	}
	return all
}

// hostileClient has a connection for each attacker.
var hostileClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}

func guessPassword(ctx context.Context, c *harness.Clinic, from string, i int, guesses, looked *atomic.Int64) {
	for n := 0; ctx.Err() == nil; n++ {
		email := "biller@own.test"
		if n%2 == 0 {
			email = "nobody" + strconv.Itoa(i) + "@own.test"
		}
		status := attemptSignIn(ctx, c, from, email, "not the right password", "")
		guesses.Add(1)
		if status == http.StatusUnauthorized {
			looked.Add(1)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// attemptSignIn returns the status of a sign-in, 0 if there was no answer.
func attemptSignIn(ctx context.Context, c *harness.Clinic, from, email, secret, device string) int {
	content, err := json.Marshal(harness.Body{"email": email, "password": secret, "deviceToken": device})
	if err != nil {
		return 0
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/api/v1/auth/login", bytes.NewReader(content))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Forwarded-For", from)
	response, err := hostileClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}
