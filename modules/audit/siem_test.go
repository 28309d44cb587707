package audit_test

import (
	"bufio"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/audit/siem"
	"omnirapeutic/platform/telemetry/logtest"
	"omnirapeutic/platform/trail"
)

// receiver is a SIEM that receives JSON lines. It can fail after it has received them.
type receiver struct {
	mu     sync.Mutex
	events []siem.Event
	fails  bool
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for lines := bufio.NewScanner(request.Body); lines.Scan(); {
		var e siem.Event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.events = append(r.events, e)
	}
	if r.fails {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// take returns the received events, and forgets them.
func (r *receiver) take() []siem.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.events
	r.events = nil
	return taken
}

// receiveSIEM starts receivers, and returns the office that sends to them.
func receiveSIEM(t *testing.T, receivers ...*receiver) *office {
	t.Helper()
	o := open(t)
	var to []siem.Destination
	for _, r := range receivers {
		server := httptest.NewTLSServer(r)
		t.Cleanup(server.Close)
		ca := filepath.Join(t.TempDir(), "ca.pem")
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		require.NoError(t, os.WriteFile(ca, text, 0o600))
		to = append(to, siem.Destination(server.URL+"?ca="+ca))
	}
	o.Service = audit.New(audit.Dependencies{
		Database: o.database, Clock: func() time.Time { return o.now }, Logger: logtest.Logger(), SIEM: to,
	})
	return o
}

func (o *office) send(t *testing.T) int64 {
	t.Helper()
	sent, err := o.SendToSIEM(t.Context())
	require.NoError(t, err)
	return sent
}

func TestSealedEventsAreSentOnceInTheirOrder(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	o := receiveSIEM(t, r)
	first, second := uuid.New(), uuid.New()
	const many = 1100 // more than two messages
	for range many / 100 {
		all := make([]trail.Event, 100)
		for i := range all {
			all[i] = event(first)
			all[i].Address, all[i].After = "192.0.2.7", map[string]int{"units": 1}
		}
		o.record(t, all...)
	}
	o.record(t, event(second))
	require.Zero(t, o.send(t), "nothing is sealed yet")
	o.seal(t)
	require.EqualValues(t, many+1, o.send(t))
	positions := map[uuid.UUID]int64{}
	for _, e := range r.take() {
		positions[e.OrganizationID]++
		require.Equal(t, positions[e.OrganizationID], e.Position)
		require.Len(t, e.Hash, 64)
		if e.OrganizationID == first {
			require.Equal(t, "192.0.2.7", e.Address)
			require.JSONEq(t, `{"units": 1}`, string(e.After))
		}
	}
	require.Equal(t, map[uuid.UUID]int64{first: many, second: 1}, positions)
	require.Zero(t, o.send(t), "it has everything")
	o.record(t, event(second))
	o.seal(t)
	require.EqualValues(t, 1, o.send(t))
	require.EqualValues(t, 2, r.take()[0].Position)
}

func TestAReceiverThatFailsGetsItsEventsAgainAndDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	broken, good := &receiver{fails: true}, &receiver{}
	o := receiveSIEM(t, broken, good)
	organization := uuid.New()
	o.record(t, event(organization), event(organization))
	o.seal(t)
	sent, err := o.SendToSIEM(t.Context())
	require.ErrorContains(t, err, "503")
	require.NotContains(t, err.Error(), "ca=", "the parameters are not logged")
	require.EqualValues(t, 2, sent)
	require.Len(t, good.take(), 2)
	require.Len(t, broken.take(), 2)
	broken.mu.Lock()
	broken.fails = false
	broken.mu.Unlock()
	o.record(t, event(organization))
	o.seal(t)
	require.EqualValues(t, 4, o.send(t))
	require.Len(t, broken.take(), 3, "all of them, two for the second time")
	require.Len(t, good.take(), 1)
}

func TestRemovedEventsDoNotStopTheExport(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	o := receiveSIEM(t, r)
	organization := uuid.New()
	o.record(t, event(organization))
	o.seal(t)
	o.tamper(t, `ALTER TABLE audit_seals DISABLE TRIGGER USER`, `DELETE FROM audit_seals`,
		`ALTER TABLE audit_seals ENABLE TRIGGER USER`)
	require.Zero(t, o.send(t))
	o.record(t, event(organization))
	o.seal(t)
	require.EqualValues(t, 1, o.send(t))
	require.EqualValues(t, 2, r.take()[0].Position)
}
