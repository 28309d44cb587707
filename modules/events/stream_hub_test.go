package events

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

func tailEvents(positions ...int64) (events []tailEvent) {
	for _, p := range positions {
		events = append(events, tailEvent{
			position: p, kind: "a", permission: "thing:read", frame: httpx.Frame(strconv.FormatInt(p, 10)),
		})
	}
	return events
}

func positionsOf(events []tailEvent) (positions []int64) {
	for _, e := range events {
		positions = append(positions, e.position)
	}
	return positions
}

func TestHubReadsOncePerStream(t *testing.T) {
	t.Parallel()
	var h streamHub
	own, other := uuid.New(), uuid.New()
	first, err := h.add(own, uuid.New())
	require.NoError(t, err)
	require.Empty(t, h.advance(head{own, 5}), "no listener has a position yet")
	require.False(t, h.start(first, 5), "the first listener has read this event")
	second, err := h.add(own, uuid.New())
	require.NoError(t, err)
	require.False(t, h.start(second, 5))

	require.Empty(t, h.advance(head{other, 9}), "a stream without listeners is not read")
	require.Empty(t, h.advance(head{own, 5}), "nor are events that were read")
	behind := h.advance(head{own, 6}, head{own, 7})
	require.Len(t, behind, 1, "one reader for all events and listeners")
	require.Empty(t, h.advance(head{own, 8}), "it is reading")
	require.Empty(t, h.all())
	require.Empty(t, first.wake)
	require.True(t, h.extend(behind[0], tailEvents(6, 7), 7, 7, false), "it continues for the event that came meanwhile")
	require.False(t, h.extend(behind[0], tailEvents(8), 8, 8, false))
	for _, w := range []*watcher{first, second} {
		require.Len(t, w.wake, 1, "each listener is woken")
		events, upTo, ok := w.after(6)
		require.True(t, ok)
		require.Equal(t, []int64{7, 8}, positionsOf(events))
		require.EqualValues(t, 8, upTo)
	}
	require.Len(t, h.all(), 1, "a look without a notification")
	require.True(t, h.stopped(behind[0]))
	require.Len(t, h.advance(head{own, 9}), 1, "a reader that failed is replaced")

	h.remove(first)
	require.Equal(t, []uuid.UUID{own}, h.organizations())
	h.remove(second)
	require.False(t, h.extend(behind[0], tailEvents(9), 9, 9, true), "the reader ends with the last listener")
	require.Empty(t, h.organizations())
	require.Empty(t, h.users)
}

func TestHubReadsEventsOfTheTimeBetweenOpeningAndStart(t *testing.T) {
	t.Parallel()
	var h streamHub
	own := uuid.New()
	w, err := h.add(own, uuid.New())
	require.NoError(t, err)
	require.Empty(t, h.advance(head{own, 6}), "after the listener has read position 5")
	require.True(t, h.start(w, 5))
}

// TestTailHasEachEventOnce follows a stream with gaps and bursts, and a listener that takes from it
// whenever it likes. The listener reads from the database only events that the tail has dropped.
func TestTailHasEachEventOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var tl tail
		start := rapid.Int64Range(0, 5).Draw(t, "start")
		tl.start(start)
		tl.start(99)
		var all []int64
		at := start
		var seen []int64
		position := start
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			var batch []int64
			for range rapid.SampledFrom([]int{0, 1, 3, 700}).Draw(t, "batch") {
				at += rapid.Int64Range(1, 2).Draw(t, "gap")
				batch = append(batch, at)
			}
			tl.add(tailEvents(batch...), at)
			all = append(all, batch...)
			require.LessOrEqual(t, len(tl.events), maxTailEvents)
			if !rapid.Bool().Draw(t, "takes") {
				continue
			}
			events, upTo, ok := tl.after(position)
			if !ok {
				for _, p := range all { // the database
					if p > position {
						seen = append(seen, p)
					}
				}
				position = at
				continue
			}
			seen, position = append(seen, positionsOf(events)...), upTo
		}
		events, _, ok := tl.after(position)
		if ok {
			seen = append(seen, positionsOf(events)...)
			require.True(t, slices.Equal(all, seen), "%v", seen)
		}
		require.True(t, slices.Equal(all[:len(seen)], seen), "%v", seen)
	})
}

func TestTailIsBounded(t *testing.T) {
	t.Parallel()
	var tl tail
	_, _, ok := tl.after(0)
	require.False(t, ok, "it has not started")
	tl.start(0)
	large := httpx.Frame(strings.Repeat("x", maxTailBytes/2))
	for p := int64(1); p <= 3; p++ {
		tl.add([]tailEvent{{position: p, frame: large}}, p)
	}
	copied := tl
	require.Equal(t, []int64{2, 3}, positionsOf(tl.events))
	_, _, ok = tl.after(0)
	require.False(t, ok, "the first event is no longer there")
	tl.add([]tailEvent{{position: 4, frame: append(large, append(large, large...)...)}}, 4)
	require.Empty(t, tl.events, "an event above the limit is not kept")
	_, _, ok = tl.after(3)
	require.False(t, ok)
	events, upTo, ok := copied.after(2)
	require.True(t, ok, "a copy stays as it was")
	require.Equal(t, []int64{3}, positionsOf(events))
	require.EqualValues(t, 3, upTo)
}

func TestStreamFilter(t *testing.T) {
	t.Parallel()
	events := []tailEvent{
		{position: 1, kind: "a", permission: "thing:read", frame: httpx.Frame("1")},
		{position: 2, kind: "b", permission: "thing:read", frame: httpx.Frame("2")},
		{position: 3, kind: "a", permission: "secret:read", frame: httpx.Frame("3")},
	}
	things, both := []identity.Permission{"thing:read"}, []identity.Permission{"secret:read", "thing:read"}
	for want, filter := range map[string]streamFilter{
		"":    {},
		"12":  {permissions: things},
		"123": {permissions: both},
		"13":  {permissions: both, types: []string{"a"}},
		"1":   {permissions: things, types: []string{"a"}},
	} {
		got := ""
		for _, frame := range filter.framesOf(events) {
			got += string(frame)
		}
		require.Equal(t, want, got)
	}
}
