package siem

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
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

// frames returns the messages, each with its length in front (octet counting: RFC 5425, section 4.3).
func frames(events []Event) ([]byte, error) {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	host = printable(host, maxHostname)
	var text bytes.Buffer
	for _, e := range events {
		message, err := message(host, e)
		if err != nil {
			return nil, err
		}
		text.WriteString(strconv.Itoa(len(message)))
		text.WriteByte(' ')
		text.Write(message)
	}
	return text.Bytes(), nil
}

// message returns an event as a syslog message: the action is its MSGID, and the text is the event in JSON.
func message(host string, e Event) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	severity := severityInfo
	if e.Outcome == "denied" {
		severity = severityWarning
	}
	var m bytes.Buffer
	m.WriteString("<" + strconv.Itoa(facilityAudit*facilityFactor+severity) + ">1 ")
	m.WriteString(e.OccurredAt.UTC().Format(syslogTime))
	m.WriteString(" " + host + " omnirapeutic - " + printable(e.Action, maxMessageID) + " - ")
	m.Write(body)
	return m.Bytes(), nil
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
