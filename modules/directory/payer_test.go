package directory_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/scheduling"
)

func TestPayerRounding(t *testing.T) {
	t.Parallel()
	r := open(t)
	// 03:00 UTC is the evening of the previous day in the organization's New York.
	r.clock.advance(12 * time.Hour)
	today := calendar.NewDate(2026, time.March, 2)
	rule := func(day calendar.Date, method scheduling.Rounding) scheduling.RoundingRule {
		basis := scheduling.EachSession
		if method == scheduling.RoundCMSTotal {
			basis = scheduling.Visit
		}
		return scheduling.RoundingRule{StartsOn: day, Method: method, Basis: basis}
	}
	always := rule(scheduling.Always, scheduling.RoundDown)
	payer := func(t *testing.T) directory.Payer {
		made, err := r.CreatePayer(r.own, directory.NewPayer{Name: "Example Health", Rounding: scheduling.RoundDown})
		require.NoError(t, err)
		return made
	}
	round := func(p directory.Payer, method scheduling.Rounding, from ...calendar.Date) (directory.Payer, error) {
		c := directory.PayerChange{ID: p.ID, Rounding: patch.Set(method)}
		if len(from) > 0 {
			c.RoundingFrom = patch.Set(from[0])
		}
		return r.ChangePayer(r.own, c)
	}
	// holds checks a returned payer, and that it is read so.
	holds := func(t *testing.T, p directory.Payer, method scheduling.Rounding, rules ...scheduling.RoundingRule) {
		t.Helper()
		read, err := r.Payer(r.own, p.ID)
		require.NoError(t, err)
		list, err := r.Payers(r.own, directory.Page{Limit: 100})
		require.NoError(t, err)
		for _, each := range append(list, p, read) {
			if each.ID == p.ID {
				require.Equal(t, method, each.Rounding)
				require.Equal(t, rules, each.RoundingRules)
			}
		}
	}

	t.Run("it applies to all days when it is entered", func(t *testing.T) {
		holds(t, payer(t), scheduling.RoundDown, always)
	})
	t.Run("a change without a day applies from today on", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundUp)
		require.NoError(t, err)
		require.Equal(t, 2, p.Version)
		holds(t, p, scheduling.RoundUp, always, rule(today, scheduling.RoundUp))
	})
	t.Run("a change with a day applies from then on", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundMidpoint, today.AddDays(30))
		require.NoError(t, err)
		holds(t, p, scheduling.RoundDown, always, rule(today.AddDays(30), scheduling.RoundMidpoint))
	})
	t.Run("a change to the same rounding has no effect", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundDown)
		require.NoError(t, err)
		require.Equal(t, 1, p.Version)
		p, err = round(p, scheduling.RoundDown, today.AddDays(5))
		require.NoError(t, err)
		require.Equal(t, 1, p.Version)
		p, err = round(p, scheduling.RoundUp)
		require.NoError(t, err)
		again, err := round(p, scheduling.RoundUp)
		require.NoError(t, err, "so that a request whose answer was lost can be repeated")
		require.Equal(t, p.Version, again.Version)
		holds(t, again, scheduling.RoundUp, always, rule(today, scheduling.RoundUp))
	})
	t.Run("a change replaces one planned for the same day, and leaves others", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundMidpoint, today.AddDays(30))
		require.NoError(t, err)
		p, err = round(p, scheduling.RoundUp, today.AddDays(10))
		require.NoError(t, err)
		p, err = round(p, scheduling.RoundCMSTotal, today.AddDays(30))
		require.NoError(t, err)
		require.Equal(t, 4, p.Version)
		holds(t, p, scheduling.RoundDown, always, rule(today.AddDays(10), scheduling.RoundUp),
			rule(today.AddDays(30), scheduling.RoundCMSTotal))
	})
	t.Run("a rule that has begun cannot change", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundUp)
		require.NoError(t, err)
		for _, from := range [][]calendar.Date{nil, {today}, {today.AddDays(-1)}, {scheduling.Always}} {
			_, err = round(p, scheduling.RoundMidpoint, from...)
			require.Equal(t, []string{"roundingFrom"}, wrongFields(t, err), "%v", from)
		}
		holds(t, p, scheduling.RoundUp, always, rule(today, scheduling.RoundUp))
		p, err = round(p, scheduling.RoundMidpoint, today.AddDays(1))
		require.NoError(t, err, "but it can be followed by another")
		holds(t, p, scheduling.RoundUp, always, rule(today, scheduling.RoundUp),
			rule(today.AddDays(1), scheduling.RoundMidpoint))
	})
	t.Run("a day without a rounding is refused", func(t *testing.T) {
		_, err := r.ChangePayer(r.own, directory.PayerChange{ID: payer(t).ID, RoundingFrom: patch.Set(today)})
		require.Equal(t, []string{"rounding"}, wrongFields(t, err))
	})
	t.Run("other changes leave it unchanged", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundUp)
		require.NoError(t, err)
		p, err = r.ChangePayer(r.own,
			directory.PayerChange{ID: p.ID, Name: patch.Set("Renamed"), WeekStartsOn: patch.Set("MONDAY")})
		require.NoError(t, err)
		holds(t, p, scheduling.RoundUp, always, rule(today, scheduling.RoundUp))
	})
	t.Run("a planned rule takes effect on its day", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundUp, today.AddDays(1))
		require.NoError(t, err)
		require.Equal(t, scheduling.RoundDown, p.Rounding)
		r.clock.advance(2 * time.Hour) // 05:00 UTC is midnight in New York
		p, err = r.Payer(r.own, p.ID)
		require.NoError(t, err)
		require.Equal(t, scheduling.RoundUp, p.Rounding)
	})
}
