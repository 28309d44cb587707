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

func TestAPayersRounding(t *testing.T) {
	t.Parallel()
	r := open(t)
	// 03:00 UTC: in the organization's New York it is still the evening of the day before.
	r.clock.advance(12 * time.Hour)
	today := calendar.NewDate(2026, time.March, 2)
	rule := func(day calendar.Date, method scheduling.Rounding) scheduling.RoundingRule {
		return scheduling.RoundingRule{StartsOn: day, Method: method}
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
	// holds checks what a payer answered, and that it is read so.
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

	t.Run("it counts on all days as it was entered", func(t *testing.T) {
		holds(t, payer(t), scheduling.RoundDown, always)
	})
	t.Run("it is another one from today on, where no day is given", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundUp)
		require.NoError(t, err)
		require.Equal(t, 2, p.Version)
		holds(t, p, scheduling.RoundUp, always, rule(today, scheduling.RoundUp))
	})
	t.Run("it is the old one until the day that is given", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundMidpoint, today.AddDays(30))
		require.NoError(t, err)
		holds(t, p, scheduling.RoundDown, always, rule(today.AddDays(30), scheduling.RoundMidpoint))
	})
	t.Run("it stays as it is when it is told what is so already", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundDown)
		require.NoError(t, err)
		require.Equal(t, 1, p.Version)
		p, err = round(p, scheduling.RoundDown, today.AddDays(5))
		require.NoError(t, err)
		require.Equal(t, 1, p.Version)
		p, err = round(p, scheduling.RoundUp)
		require.NoError(t, err)
		again, err := round(p, scheduling.RoundUp)
		require.NoError(t, err, "so that a request whose answer was lost can be sent again")
		require.Equal(t, p.Version, again.Version)
		holds(t, again, scheduling.RoundUp, always, rule(today, scheduling.RoundUp))
	})
	t.Run("it takes the place of what was planned for the same day, and leaves other plans", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundMidpoint, today.AddDays(30))
		require.NoError(t, err)
		p, err = round(p, scheduling.RoundUp, today.AddDays(10))
		require.NoError(t, err)
		p, err = round(p, scheduling.RoundCMSTotal, today.AddDays(30))
		require.NoError(t, err)
		require.Equal(t, 4, p.Version)
		holds(t, p, scheduling.RoundDown, always, rule(today.AddDays(10), scheduling.RoundUp), rule(today.AddDays(30), scheduling.RoundCMSTotal))
	})
	t.Run("it is not rewritten once it has begun", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundUp)
		require.NoError(t, err)
		for _, from := range [][]calendar.Date{nil, {today}, {today.AddDays(-1)}, {scheduling.Always}} {
			_, err = round(p, scheduling.RoundMidpoint, from...)
			require.Equal(t, []string{"roundingFrom"}, wrongFields(t, err), "%v", from)
		}
		holds(t, p, scheduling.RoundUp, always, rule(today, scheduling.RoundUp))
		p, err = round(p, scheduling.RoundMidpoint, today.AddDays(1))
		require.NoError(t, err, "but followed by another")
		holds(t, p, scheduling.RoundUp, always, rule(today, scheduling.RoundUp), rule(today.AddDays(1), scheduling.RoundMidpoint))
	})
	t.Run("it has a day only where there is a way", func(t *testing.T) {
		_, err := r.ChangePayer(r.own, directory.PayerChange{ID: payer(t).ID, RoundingFrom: patch.Set(today)})
		require.Equal(t, []string{"rounding"}, wrongFields(t, err))
	})
	t.Run("it is left alone by other changes", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundUp)
		require.NoError(t, err)
		p, err = r.ChangePayer(r.own, directory.PayerChange{ID: p.ID, Name: patch.Set("Renamed"), WeekStartsOn: patch.Set("MONDAY")})
		require.NoError(t, err)
		holds(t, p, scheduling.RoundUp, always, rule(today, scheduling.RoundUp))
	})
	t.Run("it begins by itself when its day comes", func(t *testing.T) {
		p, err := round(payer(t), scheduling.RoundUp, today.AddDays(1))
		require.NoError(t, err)
		require.Equal(t, scheduling.RoundDown, p.Rounding)
		r.clock.advance(2 * time.Hour) // 05:00 UTC is midnight in New York
		p, err = r.Payer(r.own, p.ID)
		require.NoError(t, err)
		require.Equal(t, scheduling.RoundUp, p.Rounding)
	})
}
