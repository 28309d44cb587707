package smtp

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"
)

// Reason says why a letter was not sent.
type Reason int

// The reasons.
const (
	// NotConnected: the server cannot be reached, has no valid certificate, or refuses the password.
	NotConnected Reason = iota
	// Postponed: the server may accept the letter later.
	Postponed
	// Rejected: the server does not accept this letter, for a reason other than its recipient.
	Rejected
	// NoSuchRecipient: the server permanently refuses the recipient.
	NoSuchRecipient
)

// Error is the error of a letter. Its text has no address.
type Error struct {
	Reason Reason
	Reply  string // code and enhanced code of the server's reply, such as "550 5.1.1"; may be empty
	cause  error
}

// Error returns the reason and the codes of the reply. It omits the reply's text and the cause,
// because both may repeat the address.
func (e *Error) Error() string {
	text := map[Reason]string{
		NotConnected:    "the mail server cannot be used",
		Postponed:       "the mail server has postponed the mail",
		Rejected:        "the mail server has rejected the mail",
		NoSuchRecipient: "the mail server has refused the recipient",
	}[e.Reason]
	if e.Reply != "" {
		text += " (" + e.Reply + ")"
	}
	return text
}

// Unwrap returns the cause. It may contain the address, so it must not be logged.
func (e *Error) Unwrap() error { return e.cause }

// classify returns the error of a letter.
func classify(err error) *Error {
	refused, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return &Error{Reason: Postponed, cause: err}
	}
	code := refused.ErrorCode()
	enhanced := enhancedCode(code, err.Error())
	e := &Error{Reason: Postponed, cause: err}
	if code != 0 {
		e.Reply = strings.TrimSpace(strconv.Itoa(code) + " " + enhanced)
	}
	if code >= 500 { //nolint:mnd // permanent: RFC 5321, section 4.2.1
		e.Reason = Rejected
		if refused.Reason == gomail.ErrSMTPRcptTo && concernsRecipient(code, enhanced) {
			e.Reason = NoSuchRecipient
		}
	}
	return e
}

// enhancedCode returns the enhanced code (RFC 3463) that follows the code in the text of an error; "":
// none. Some servers send enhanced codes without announcing them, and go-mail ignores these.
func enhancedCode(code int, text string) string {
	_, reply, _ := strings.Cut(text, strconv.Itoa(code))
	return enhancedForm.FindString(strings.TrimLeft(reply, ` -"`)) // net/textproto quotes the reply's text
}

var enhancedForm = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

// concernsRecipient reports whether a permanent reply to RCPT is about the recipient. Enhanced codes
// of the subjects 3 (mail system), 4 (network), 5 (protocol) and 7 (security or policy) are about the
// servers or the sender: RFC 3463, section 3. So are replies that ask for authentication: RFC 4954,
// section 6.
func concernsRecipient(code int, enhanced string) bool {
	const authenticationRequired, authenticationFailed = 530, 535
	if code == authenticationRequired || code == authenticationFailed {
		return false
	}
	_, subject, _ := strings.Cut(enhanced, ".")
	subject, _, _ = strings.Cut(subject, ".")
	return !strings.ContainsAny(subject, "3457") || len(subject) > 1
}
