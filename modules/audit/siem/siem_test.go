package siem_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit/siem"
	"omnirapeutic/modules/audit/siem/siemtest"
)

func events(n int) []siem.Event {
	all := make([]siem.Event, n)
	for i := range all {
		all[i] = siem.Event{
			OrganizationID: uuid.MustParse("0198f0de-0000-7000-8000-000000000001"), Position: int64(i + 1), Hash: "ab",
			OccurredAt: time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC), Address: "192.0.2.7",
			Action: "patient.read", Outcome: "done", After: json.RawMessage(`{"operation":"getPatient"}`),
		}
	}
	all[n-1].Outcome = "denied"
	return all
}

func TestSyslogMessagesAreCountedAndAcknowledged(t *testing.T) {
	t.Parallel()
	l, to := siemtest.Listen(t)
	received := siemtest.Receive(t, l, false)
	require.NoError(t, to.Send(t.Context(), events(3)))
	messages := <-received
	require.Len(t, messages, 3)
	header := regexp.MustCompile(`^<(\d+)>1 2026-03-01T12:00:00\.123456Z \S+ omnirapeutic - patient\.read - (\{.*\})$`)
	for i, message := range messages {
		parts := header.FindStringSubmatch(message)
		require.NotNil(t, parts, message)
		require.Equal(t, []string{"110", "110", "108"}[i], parts[1], "facility 13; denials are warnings")
		var e siem.Event
		require.NoError(t, json.Unmarshal([]byte(parts[2]), &e))
		require.Equal(t, events(3)[i], e)
	}
}

func TestSyslogWithoutAnAcknowledgementIsAnError(t *testing.T) {
	t.Parallel()
	l, to := siemtest.Listen(t)
	siemtest.Receive(t, l, true)
	require.Error(t, to.Send(t.Context(), events(200)))
}

func TestSendingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l, to := siemtest.Listen(t)
	go func() {
		for { // accepts, and never answers
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, to.Send(ctx, events(1)))
}

func TestReceiversAreAuthenticated(t *testing.T) {
	t.Parallel()
	l, to := siemtest.Listen(t)
	siemtest.Receive(t, l, false)
	unknown, _, _ := strings.Cut(string(to), "?")
	require.ErrorContains(t, siem.Destination(unknown).Send(t.Context(), events(1)), "certificate")
	require.ErrorContains(t, siem.Destination(unknown+"?ca=/nowhere").Send(t.Context(), events(1)), "authorities")
}

func TestLinesAreSentByHTTPS(t *testing.T) {
	t.Parallel()
	server, ca := siemtest.Certificate(t)
	status := http.StatusOK
	var lines []string
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		assert.Equal(t, []string{"omni", "pw"}, []string{user, password})
		assert.Equal(t, "application/x-ndjson", r.Header.Get("Content-Type"))
		assert.Equal(t, "index=audit", r.URL.RawQuery)
		text, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		lines = strings.Split(strings.TrimSpace(string(text)), "\n")
		w.WriteHeader(status)
	})
	to := siem.Destination(strings.Replace(server.URL, "https://", "https://omni:pw@", 1) + "/in?index=audit&ca=" + ca)
	require.Equal(t, server.URL+"/in", to.Name(), "without credentials and parameters")
	require.NoError(t, to.Send(t.Context(), events(2)))
	require.Len(t, lines, 2)
	var e siem.Event
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &e))
	require.Equal(t, events(2)[0], e)
	status = http.StatusFound
	require.ErrorContains(t, to.Send(t.Context(), events(2)), "302", "a redirect is not followed")
}
