package mailing

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/mail"
)

// TestEveryKindHasATemplateInEveryLanguage renders each kind with names that try to add a line, a
// paragraph or markup.
func TestEveryKindHasATemplateInEveryLanguage(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	at := time.Date(2026, time.December, 1, 20, 0, 0, 0, time.UTC)
	const link = "https://app.example.org/start#invitation=abc&x=<y>"
	for _, l := range languages {
		for _, kind := range []mail.Kind{
			mail.Invitation, mail.PasswordReset, mail.RequestedReset, mail.NewDevice, mail.SecurityChange,
			mail.AppointmentReminder, mail.AlertDigest,
		} {
			letter, err := render(queuedMail{Kind: kind, Language: l, NamesPractice: true}, mail.Values{
				Name: "Eve\r\n\r\nBcc: <b>", Link: link, Until: at, At: at, Change: mail.PasswordChanged, Count: 2,
				Address: "192.0.2.1\n",
			}, Organization{Name: "Example\n\n<script>", Location: zone})
			require.NoError(t, err, "%s %s", l, kind)
			require.NotEmpty(t, letter.Subject)
			require.NotContains(t, letter.Subject, "\n")
			require.NotContains(t, letter.Text, "\nBcc:")
			require.NotContains(t, letter.HTML, "<script>")
			require.NotContains(t, letter.HTML, "<b>")
			require.Contains(t, letter.HTML, `<html lang="`+string(l)+`">`)
			if strings.Contains(letter.Text, link) {
				require.Contains(t, letter.HTML, `<a href="https://app.example.org/start#invitation=abc&amp;x=%3cy%3e">`)
			}
		}
	}
	require.Equal(t, "Tuesday, December 1, 2026 at 3:00 PM EST", dateAndTime(English, at, zone))
	require.Equal(t, "martes, 1 de diciembre de 2026, 15:00 EST", dateAndTime(Spanish, at, zone))
}
