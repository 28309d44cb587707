package e2e

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/smtp/smtptest"
)

// preferMail sets the mail preferences of a caller.
func preferMail(t testing.TB, as harness.Caller, language any, digest, reminders bool) {
	t.Helper()
	set := harness.Body{"language": language, "alertDigest": digest, "appointmentReminders": reminders}
	as.Put(t, "/auth/me/mail", set).OK(t)
	require.Equal(t, set, as.Get(t, "/auth/me/mail").OK(t).Body)
}

// clinicWithMailAt starts a clinic with mail whose clock does not move.
func clinicWithMailAt(t testing.TB, now time.Time) *harness.Clinic {
	t.Helper()
	database := harness.TwoPractices.New(t)
	c := &harness.Clinic{
		Database: database, Mail: smtptest.Start(t, smtptest.Options{}), Clock: harness.FrozenClock(now),
	}
	c.Start(t, database.Open(t))
	c.AddPractices(t)
	return c
}

func TestMailIsInTheLanguageOfTheUserOrTheOrganization(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	require.Equal(t, harness.Body{"language": "en", "namesPractice": false},
		c.Admin().Get(t, "/mail/settings").OK(t).Body)
	user := c.AddUser(t, c.Own, "rosa@own.test", rbac.Biller)
	subject := func() string {
		c.Exec(t, "DELETE FROM password_resets")
		c.Admin().Post(t, user+"/password-reset", harness.Body{})
		mails := c.SendMail(t)
		require.Len(t, mails, 1)
		require.Contains(t, mails[0].HTML, mails[0].Link(t))
		return mails[0].Subject
	}
	require.Equal(t, "Set a new password for own", subject())
	c.Admin().Put(t, "/mail/settings", harness.Body{"language": "es", "namesPractice": false}).OK(t)
	require.Equal(t, "Nueva contraseña para own", subject())
	inviteByMail(t, c, "nia@example.test")
	mails := c.SendMail(t)
	require.Len(t, mails, 1)
	require.Equal(t, "Su invitación a own", mails[0].Subject, "people who are not users yet")
	require.Regexp(t, `hasta el \p{L}+, \d+ de \p{L}+ de 2\d+, \d+:\d+ E[SD]T`, mails[0].Text)
	require.Contains(t, mails[0].HTML, `<html lang="es">`)
	as := c.SignInByEmail(t, "rosa@own.test")
	c.SendMail(t)
	preferMail(t, as, "en", false, false)
	require.Equal(t, "Set a new password for own", subject())
	_, key := c.AddAPIKey(t, "patient:read")
	c.As(key).Get(t, "/auth/me/mail").Refused(t, http.StatusForbidden, "people-only")
	c.As(key).Put(t, "/auth/me/mail", harness.Body{"alertDigest": true, "appointmentReminders": true}).
		Refused(t, http.StatusForbidden, "people-only")
	c.As(c.Own.Tokens[rbac.Biller]).Put(t, "/mail/settings", harness.Body{"language": "es", "namesPractice": true}).
		Refused(t, http.StatusForbidden, "forbidden")
	c.Admin().Put(t, "/mail/settings", harness.Body{"language": "fr", "namesPractice": true}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
}

func TestFamiliesGetTheRemindersThatTheyAskFor(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	practitioner := c.AddPractitioner(t)
	c.LinkUsers(t, c.Own, practitioner, c.Own.Patient)
	family := c.As(c.Own.Tokens[rbac.Patient])
	remind := func() []harness.Mail {
		_, err := c.App.Appointments.Remind(t.Context(), []time.Duration{24 * time.Hour})
		require.NoError(t, err)
		return c.SendMail(t)
	}
	authorization := c.Authorize(t, 100)
	start := c.Clock.Now().Add(3 * time.Hour).Truncate(time.Minute)
	book := func(after time.Duration) {
		c.Book(t, c.Booking(authorization, practitioner, start.Add(after), time.Hour))
	}
	book(0)
	require.Empty(t, remind(), "the family has not asked for it")

	preferMail(t, family, nil, false, true)
	preferMail(t, c.As(c.Other.Tokens[rbac.Patient]), nil, false, true) // of another practice
	book(2 * time.Hour)
	mails := remind()
	require.Len(t, mails, 1)
	require.Equal(t, "patient@own.test", mails[0].To)
	require.Equal(t, "Reminder of your appointment", mails[0].Subject)
	zone, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	require.Contains(t, mails[0].Text, "You have an appointment on "+
		start.Add(2*time.Hour).In(zone).Format("Monday, January 2, 2006 at 3:04 PM MST")+".")
	for _, word := range []string{"own", "Ada", "97153", "Jordan", "Lee", "Treatment", "ABA", "PATIENT"} {
		require.NotContains(t, mails[0].Subject+mails[0].Text, word, "no health data, and no name of the practice")
	}
	require.Empty(t, remind(), "each appointment once")

	c.Admin().Put(t, "/mail/settings", harness.Body{"language": "es", "namesPractice": true}).OK(t)
	book(4 * time.Hour)
	mails = remind()
	require.Len(t, mails, 1)
	require.Contains(t, mails[0].Text, "Tiene una cita en own el ")

	preferMail(t, family, nil, false, false)
	book(6 * time.Hour)
	require.Empty(t, remind())
}

func TestDigestsOfAlertsAreSentOnceEachMorning(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	year, month, day := time.Now().In(zone).Date()
	c := clinicWithMailAt(t, time.Date(year, month, day, 6, 30, 0, 0, zone))
	signIn := func(role rbac.Role) harness.Caller { return c.As(c.SignIn(t, "own", role)) }
	c.Own.Tokens[rbac.Admin] = c.SignIn(t, "own", rbac.Admin)
	c.Authorize(t, 100, harness.Body{"endDate": c.Date(t, 10)})
	preferMail(t, signIn(rbac.Scheduler), nil, true, false)
	preferMail(t, signIn(rbac.Biller), "es", true, false)
	preferMail(t, signIn(rbac.Technician), nil, true, false) // who may not see alerts
	c.SendMail(t)
	send := func() (subjects []string) {
		for _, job := range c.App.BackgroundJobs() {
			if job.Name == "send-alert-digests" {
				_, err := job.Run(t.Context())
				require.NoError(t, err)
			}
		}
		for _, m := range c.SendMail(t) {
			subjects = append(subjects, m.To+": "+m.Subject)
		}
		slices.Sort(subjects)
		return subjects
	}
	require.Empty(t, send(), "before seven")
	c.Clock.Advance(time.Hour)
	require.Equal(t, []string{"biller@own.test: 2 alertas en own", "scheduler@own.test: 2 open alerts at own"}, send())
	require.Empty(t, send())
	c.Clock.Advance(24 * time.Hour)
	require.Len(t, send(), 2)
}
