package e2e

import (
	"testing"
	"time"

	"omnirapeutic/e2e/harness"
)

// The number of sessions of a benchmark. Run it with -benchtime 300x.
const benchedSessions = 300

// bookedSessions books appointments of a quarter of an hour on earlier days.
func bookedSessions(b *testing.B) (*harness.Clinic, []string) {
	b.Helper()
	c := harness.Open(b)
	path := c.Authorize(b, 10*benchedSessions)
	practitioner := c.AddPractitioner(b)
	booked := make([]string, benchedSessions+1)
	for i := range booked {
		at := c.At(b, -1-i/40, "00:00").Add(time.Duration(i%40) * 30 * time.Minute)
		booked[i] = c.Book(b, c.Booking(path, practitioner, at, 15*time.Minute))
	}
	return c, booked
}

// BenchmarkCompletion completes booked appointments, one after the other.
func BenchmarkCompletion(b *testing.B) {
	c, booked := bookedSessions(b)
	b.ResetTimer()
	for i := range b.N {
		c.Admin().Post(b, booked[i%len(booked)]+"/complete", harness.Body{}).OK(b)
	}
}

// BenchmarkCorrection corrects sessions, one after the other.
func BenchmarkCorrection(b *testing.B) {
	c, booked := bookedSessions(b)
	sessions := make([]string, len(booked))
	for i, appointment := range booked {
		done := c.Admin().Post(b, appointment+"/complete", harness.Body{}).OK(b)
		sessions[i] = "/sessions/" + done.Body["session"].(map[string]any)["id"].(string)
	}
	correction := harness.Body{"confirm": true, "reason": "Benchmark."}
	b.ResetTimer()
	for i := range b.N {
		at := c.At(b, -1-i/40, "00:00").Add(time.Duration(i%40) * 30 * time.Minute)
		correction["endTime"] = at.Add(20 * time.Minute)
		c.Admin().Post(b, sessions[i%len(sessions)]+"/correct", correction).OK(b)
	}
}
