package loadtest

import (
	"fmt"
	"strconv"
	"strings"
)

// Thousands writes 1234567 as 1,234,567.
func Thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Decimal formats a number with a sensible number of digits.
func Decimal(f float64) string {
	switch {
	case f != f || f > 1e15 || f < -1e15:
		return "–"
	case f == float64(int64(f)) || f >= 1000 || f <= -1000:
		return Thousands(int64(f + 0.5))
	case f >= 100 || f <= -100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f >= 10 || f <= -10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	default:
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
}

// count formats a number with its noun, in the plural if needed.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Thousands(n) + " " + noun + "s"
}

// Load describes the clients, the loop and the time, in one line.
func (r Result) Load() string {
	parts := []string{count(int64(r.Clients), "client")}
	if r.Instances > 1 {
		parts = append(parts, count(int64(r.Instances), "server")+" on one database")
	}
	parts = append(parts, count(int64(r.Authorizations), "authorization"))
	if r.Loop == "open" {
		parts = append(parts, fmt.Sprintf("open loop, %s requests per second", Decimal(r.Rate)))
	} else {
		parts = append(parts, "closed loop")
	}
	return strings.Join(append(parts, Decimal(r.Seconds)+" s"), " · ")
}

// Sentence says whether the units are correct.
func (r Integrity) Sentence() string {
	if r.OK {
		return "Every unit is accounted for"
	}
	if r.MismatchCount == 0 && r.Verify.Error != "" {
		return "The server's verify gave no result"
	}
	if r.MismatchCount == 0 {
		return "The server's verify found problems"
	}
	return fmt.Sprintf("Units do not add up on %s", count(int64(r.MismatchCount), "authorization"))
}

// Sentence describes the result of the server's verification.
func (v Verify) Sentence() string {
	switch {
	case v.Error != "":
		return "no answer: " + v.Error
	case v.OK:
		return fmt.Sprintf("ok, %s, %s and %s checked", count(v.Authorizations, "authorization"),
			count(v.Reservations, "reservation"), Thousands(v.Entries)+" entries")
	case v.ProblemCount == 0:
		return "not ok"
	default:
		return "not ok, " + count(v.ProblemCount, "problem")
	}
}

// Gibibytes formats an amount of memory.
func Gibibytes(bytes int64) string {
	return Decimal(float64(bytes)/(1<<30)) + " GiB"
}

// Megabytes converts bytes to millions of bytes.
func Megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }
