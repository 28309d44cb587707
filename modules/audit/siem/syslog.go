package siem

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"
)

// Parts of the priority of a syslog message (RFC 5424, section 6.2.1).
const (
	facilityAudit   = 13 // log audit
	severityWarning = 4  // denied actions
	severityInfo    = 6
	facilityFactor  = 8
)

// Limits of the header (RFC 5424, section 6).
const (
	maxHostname  = 255
	maxMessageID = 32
)

// syslogTime is the format of a time with microseconds (RFC 5424, section 6.2.3).
const syslogTime = "2006-01-02T15:04:05.000000Z07:00"

// Message is a syslog message of the program.
type Message struct {
	Time      time.Time
	ID        string // MSGID: the kind of message
	IsWarning bool   // its severity is warning, not info
	Text      []byte // without a line break
}

// frames returns the messages, each with its length in front (octet counting: RFC 5425, section 4.3).
func frames(messages []Message) []byte {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	host = printable(host, maxHostname)
	var text bytes.Buffer
	for _, m := range messages {
		message := m.format(host)
		text.WriteString(strconv.Itoa(len(message)))
		text.WriteByte(' ')
		text.Write(message)
	}
	return text.Bytes()
}

// messagesOf returns events as messages: the action is the MSGID, and the text is the event in JSON.
func messagesOf(events []Event) ([]Message, error) {
	messages := make([]Message, len(events))
	for i, e := range events {
		body, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		messages[i] = Message{Time: e.OccurredAt, ID: e.Action, IsWarning: e.Outcome == "denied", Text: body}
	}
	return messages, nil
}

// format returns the message as RFC 5424 defines it.
func (m Message) format(host string) []byte {
	severity := severityInfo
	if m.IsWarning {
		severity = severityWarning
	}
	var b bytes.Buffer
	b.WriteString("<" + strconv.Itoa(facilityAudit*facilityFactor+severity) + ">1 ")
	b.WriteString(m.Time.UTC().Format(syslogTime))
	b.WriteString(" " + host + " omnirapeutic - " + printable(m.ID, maxMessageID) + " - ")
	b.Write(m.Text)
	return b.Bytes()
}

// printable returns a field of the header: printable ASCII without spaces, or "-" for none.
func printable(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r
		}
		return '_'
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), limit)]
}
