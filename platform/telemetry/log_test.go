package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/telemetry"
)

type dbError struct{ code, text string }

func (e dbError) Error() string    { return e.text + " (SQLSTATE " + e.code + ")" }
func (e dbError) SQLState() string { return e.code }

// inOtherWords describes its cause in its own text.
type inOtherWords struct{ cause dbError }

func (e inOtherWords) Error() string { return "Miller is invalid" }
func (e inOtherWords) Unwrap() error { return e.cause }

// line logs one event with one field and returns the written fields.
func line(t *testing.T, name string, value any) map[string]any {
	t.Helper()
	var out bytes.Buffer
	l := telemetry.NewLogger(&out, "info", "json")
	l.WithField("event", "test").WithField(name, value).Info("something happened")
	l.Debug("below the level")
	var written map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &written), out.String())
	return written
}

func TestLogger(t *testing.T) {
	t.Parallel()
	t.Run("it writes an event with its fields", func(t *testing.T) {
		t.Parallel()
		got := line(t, "attempt", 3)
		require.Equal(t, "test", got["event"])
		require.Equal(t, "info", got["level"])
		require.Equal(t, "something happened", got["msg"])
		require.InDelta(t, 3, got["attempt"], 0)
		require.NotContains(t, got, "dropped_fields")
	})
	t.Run("it drops a field that is not listed and says so", func(t *testing.T) {
		t.Parallel()
		got := line(t, "lastName", "Miller")
		require.Equal(t, "lastName", got["dropped_fields"])
		require.NotContains(t, fmt.Sprint(got), "Miller")
	})
	t.Run("it drops a structured value", func(t *testing.T) {
		t.Parallel()
		got := line(t, "error", struct{ Name string }{"Miller"})
		require.Equal(t, "error", got["dropped_fields"])
		require.NotContains(t, fmt.Sprint(got), "Miller")
	})
	t.Run("it writes ids and durations as text", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, uuid.Nil.String(), line(t, "user_id", uuid.Nil)["user_id"])
		require.Equal(t, "1.5s", line(t, "delay_ms", 1500*time.Millisecond)["delay_ms"])
	})
	t.Run("it adds the request's id from the context", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		l := telemetry.NewLogger(&out, "info", "text")
		l.WithContext(telemetry.WithRequestID(t.Context(), "r-1")).Info("hello")
		require.Contains(t, out.String(), "request_id=r-1")
	})
	t.Run("it uses info and text for an unknown level and format", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		l := telemetry.NewLogger(&out, "loud", "xml")
		l.Debug("quiet")
		l.Info("heard")
		require.Contains(t, out.String(), "msg=heard")
		require.NotContains(t, out.String(), "quiet")
	})
}

func TestSafeText(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"it leaves an ordinary error unchanged": {errors.New("no route to host"), "no route to host"},
		"it keeps text without values": {
			dbError{"42501", "permission denied"}, "permission denied (SQLSTATE 42501)",
		},
		"it hides the values of data exceptions": {
			fmt.Errorf("read: %w; again", dbError{"22P02", `invalid: "Miller"`}), "read: SQLSTATE 22P02; again",
		},
		"it hides the values of violations": {dbError{"23505", "key (Miller)"}, "SQLSTATE 23505"},
		"it hides those behind another error": {
			errors.Join(dbError{"40001", "overtaken"}, dbError{"22P02", `invalid: "Miller"`}),
			"overtaken (SQLSTATE 40001)\nSQLSTATE 22P02",
		},
		"it hides repeated values": {
			fmt.Errorf("%w; that is: %w", dbError{"23505", "key (Miller)"}, dbError{"23505", "key (Miller)"}),
			"SQLSTATE 23505; that is: SQLSTATE 23505",
		},
		"it hides changed texts": {inOtherWords{dbError{"22P02", "invalid: Miller"}}, "SQLSTATE 22P02"},
		"it hides values that cannot be encoded": {
			errors.New(`failed to encode args[0]: unable to encode "Miller" into text format for int4 (OID 23)`),
			"failed to encode args[0]: unable to encode a value",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, telemetry.SafeText(c.err))
		})
	}
}
