package appointments

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/teambition/rrule-go"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Rule is a recurrence rule, a subset of the RRULE of RFC 5545 (3.3.10): daily, weekly or monthly,
// with a count or an end. Create one with [ParseRule]; the zero value is invalid.
type Rule struct {
	text       string
	frequency  rrule.Frequency
	interval   int
	count      int // 0: ends by until
	until      limit
	byDay      []ruleDay
	byMonthDay []int // negative ones count from the end of the month
	byMonth    []int
	bySetPos   []int
	weekStart  time.Weekday
}

// ruleDay is a weekday or, if nth is not 0, the nth of its kind in the month, counted from the end
// if negative.
type ruleDay struct {
	weekday time.Weekday
	nth     int
}

// maxNth is the maximum number of weekdays of one kind in a month.
const maxNth = 5

// limit is the end of a rule: a date, which is included, or the last instant at which an occurrence
// may start. The zero value means no limit.
type limit struct {
	date    calendar.Date
	instant time.Time
}

// before reports whether an occurrence that starts at t is past the limit.
func (l limit) before(t time.Time, zone *time.Location) bool {
	switch {
	case !l.date.IsZero():
		return l.date.Before(calendar.DateIn(t, zone))
	case !l.instant.IsZero():
		return l.instant.Before(t)
	}
	return false
}

// lastDate returns the last date on which an occurrence may start, or the zero date without a
// limit.
func (l limit) lastDate(zone *time.Location) calendar.Date {
	if l.instant.IsZero() {
		return l.date
	}
	return calendar.DateIn(l.instant, zone)
}

// String returns the rule as it was given, in capital letters and without the prefix RRULE.
func (r Rule) String() string { return r.text }

const (
	maxRuleLength   = 500
	maxRuleInterval = 366
)

// ParseRule parses a recurrence rule such as FREQ=WEEKLY;BYDAY=MO,WE;COUNT=20, with or without the
// prefix RRULE:. It accepts FREQ, INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY, BYMONTH, BYSETPOS and
// WKST, with FREQ DAILY, WEEKLY or MONTHLY. UNTIL is a date, in the organization's time zone and
// included, or an instant in UTC. The error is [fault.ErrInvalid] for recurrenceRule, with all
// problems of the rule.
func ParseRule(text string) (Rule, error) {
	if len(text) > maxRuleLength {
		return Rule{}, ruleError(fmt.Sprintf("must have at most %d characters", maxRuleLength))
	}
	text = strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(text)), "RRULE:")
	p := ruleParser{rule: Rule{text: text, interval: 1, weekStart: time.Monday}, seen: map[string]bool{}}
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		p.read(name, value)
	}
	p.checkCombination()
	if len(p.fieldErrors) > 0 {
		return Rule{}, fault.InvalidFields(p.fieldErrors...)
	}
	return p.rule, nil
}

func ruleError(message string) error {
	return fault.InvalidFields(ruleField(message))
}

func ruleField(message string) fault.Field {
	return fault.Field{Field: fieldRule, Code: "recurrence", Message: message}
}

type ruleParser struct {
	rule        Rule
	seen        map[string]bool
	fieldErrors []fault.Field
}

func (p *ruleParser) refuse(format string, args ...any) {
	p.fieldErrors = append(p.fieldErrors, ruleField(fmt.Sprintf(format, args...)))
}

var frequencies = map[string]rrule.Frequency{"DAILY": rrule.DAILY, "WEEKLY": rrule.WEEKLY, "MONTHLY": rrule.MONTHLY}

// otherParts are the parts of RFC 5545 that are refused by name. Unknown parts are refused without
// echoing them.
var otherParts = []string{"BYSECOND", "BYMINUTE", "BYHOUR", "BYYEARDAY", "BYWEEKNO"}

func (p *ruleParser) read(name, value string) {
	r := &p.rule
	const monthDays, months = 31, 12
	known := true
	switch name {
	case "FREQ":
		if frequency, ok := frequencies[value]; ok {
			r.frequency = frequency
		} else {
			p.refuse("must have DAILY, WEEKLY or MONTHLY as its FREQ")
		}
	case "INTERVAL":
		r.interval = p.number(name, value, maxRuleInterval)
	case "COUNT":
		r.count = p.number(name, value, MaxOccurrences)
	case "UNTIL":
		p.readUntil(value)
	case "WKST":
		if day, ok := ruleWeekdays[value]; ok {
			r.weekStart = day
		} else {
			p.refuse("must have one of MO, TU, WE, TH, FR, SA, SU as its WKST")
		}
	case "BYDAY":
		p.readDays(value)
	case "BYMONTHDAY":
		r.byMonthDay = p.numbers(name, value, monthDays, true)
	case "BYMONTH":
		r.byMonth = p.numbers(name, value, months, false)
	case "BYSETPOS":
		r.bySetPos = p.numbers(name, value, monthDays, true)
	default:
		known = slices.Contains(otherParts, name)
		if known {
			p.refuse("must not have %s: the time of day is that of the first appointment, and yearly rules are not supported",
				name)
		} else {
			p.refuse("must be a rule of RFC 5545 such as FREQ=WEEKLY;BYDAY=MO,WE;COUNT=20")
		}
	}
	if known && p.seen[name] {
		p.refuse("must not have %s twice", name)
	}
	p.seen[name] = true
}

// checkCombination checks the combination of the parts.
func (p *ruleParser) checkCombination() {
	if len(p.fieldErrors) > 0 { // for an unparsable rule, report only that
		return
	}
	r := p.rule
	counted := slices.ContainsFunc(r.byDay, func(d ruleDay) bool { return d.nth != 0 })
	if !p.seen["FREQ"] {
		p.refuse("must have FREQ")
		return
	}
	if p.seen["COUNT"] == p.seen["UNTIL"] {
		p.refuse("must have either COUNT or UNTIL")
	}
	if r.frequency != rrule.MONTHLY && counted {
		p.refuse("must not count weekdays in BYDAY (as in 2MO) unless FREQ is MONTHLY")
	}
	if r.frequency == rrule.WEEKLY && len(r.byMonthDay) > 0 {
		p.refuse("must not have BYMONTHDAY if FREQ is WEEKLY")
	}
	if len(r.bySetPos) > 0 && (r.frequency != rrule.MONTHLY || len(r.byDay)+len(r.byMonthDay) == 0) {
		p.refuse("must not have BYSETPOS unless FREQ is MONTHLY and BYDAY or BYMONTHDAY is given")
	}
}

var digits = regexp.MustCompile(`^[0-9]{1,4}$`)

// number parses a number from 1 to most.
func (p *ruleParser) number(name, value string, most int) int {
	n, err := strconv.Atoi(value)
	if !digits.MatchString(value) || err != nil || n < 1 || n > most {
		p.refuse("must have a number from 1 to %d as its %s", most, name)
		return 1
	}
	return n
}

// numbers parses numbers from 1 to most and, if signed, from -most to -1.
func (p *ruleParser) numbers(name, value string, most int, signed bool) []int {
	var numbers []int
	for text := range strings.SplitSeq(value, ",") {
		sign, rest := signOf(text, signed)
		n, err := strconv.Atoi(rest)
		if !digits.MatchString(rest) || err != nil || n < 1 || n > most {
			words := fmt.Sprintf("from 1 to %d", most)
			if signed {
				words += fmt.Sprintf(" or from -%d to -1", most)
			}
			p.refuse("must have numbers %s as its %s", words, name)
			return nil
		}
		numbers = append(numbers, sign*n)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

func signOf(text string, signed bool) (sign int, rest string) {
	if !signed || text == "" {
		return 1, text
	}
	switch text[0] {
	case '-':
		return -1, text[1:]
	case '+':
		return 1, text[1:]
	}
	return 1, text
}

func (p *ruleParser) readUntil(value string) {
	const dateLayout, instantLayout = "20060102", "20060102T150405Z"
	if t, err := time.Parse(dateLayout, value); err == nil && t.Year() >= 1 {
		p.rule.until.date = calendar.NewDate(t.Date())
		return
	}
	t, err := time.Parse(instantLayout, value)
	if err != nil || t.Year() < 1 || len(value) != len(instantLayout) {
		p.refuse("must have a date (20270131) or an instant in UTC (20270131T235959Z) as its UNTIL")
		return
	}
	p.rule.until.instant = t
}

var (
	ruleWeekdays = map[string]time.Weekday{
		"MO": time.Monday, "TU": time.Tuesday, "WE": time.Wednesday, "TH": time.Thursday,
		"FR": time.Friday, "SA": time.Saturday, "SU": time.Sunday,
	}
	ruleDayText = regexp.MustCompile(`^([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)$`)
)

func (p *ruleParser) readDays(value string) {
	for text := range strings.SplitSeq(value, ",") {
		found := ruleDayText.FindStringSubmatch(text)
		if found == nil {
			p.refuse("must have weekdays (MO, TU, WE, TH, FR, SA, SU) as its BYDAY, with FREQ=MONTHLY also counted ones " +
				"from -5 to 5, such as 2MO or -1FR")
			return
		}
		day := ruleDay{weekday: ruleWeekdays[found[2]]}
		if found[1] != "" {
			sign, rest := signOf(found[1], true)
			day.nth = sign * int(rest[0]-'0')
		}
		if !slices.Contains(p.rule.byDay, day) {
			p.rule.byDay = append(p.rule.byDay, day)
		}
	}
}
