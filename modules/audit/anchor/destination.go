package anchor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"omnirapeutic/modules/audit/siem"
	"omnirapeutic/platform/tracing"
)

// Destination is the URL of a place outside of the database:
//
//   - file:///PATH: lines are appended to the file
//   - https://…: lines are sent with POST, as application/x-ndjson; a status of 2xx means that they are kept
//   - syslog+tls://HOST:PORT: each line is the text of a syslog message; see [siem.Destination]. The texts, one on
//     each line and in their order, are a file for [Read]
type Destination string

// Authority is a time stamping authority (RFC 3161) that answers by HTTP (section 3.4).
type Authority struct {
	URL string
}

// Push sends the heads to all destinations, with a time stamp if there is an authority. A failed
// destination does not keep the others from getting them. The heads of the next push prove the positions
// that this one misses, so nothing is queued.
func Push(ctx context.Context, heads []Head, authority *Authority, destinations []Destination) error {
	if len(heads) == 0 || len(destinations) == 0 {
		return nil
	}
	text, err := lines(heads)
	if err != nil {
		return err
	}
	var failures []error
	if authority != nil {
		response, err := authority.request(ctx, text)
		if err != nil {
			failures = append(failures, fmt.Errorf("time stamp: %w", err))
		} else if text, err = stamped(text, response); err != nil {
			return err
		}
	}
	for i, d := range destinations {
		if err := d.send(ctx, text); err != nil {
			failures = append(failures, fmt.Errorf("anchor %d: %w", i+1, err))
		}
	}
	return errors.Join(failures...)
}

// stamped returns the lines with the line of their time stamp.
func stamped(lines, response []byte) ([]byte, error) {
	line, err := json.Marshal(stamp{response})
	return append(append(lines, line...), '\n'), err
}

func (d Destination) send(ctx context.Context, lines []byte) error {
	u, err := url.Parse(string(d))
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme == "file":
		return appendTo(u.Path, lines)
	case u.Scheme == "syslog+tls":
		return siem.Destination(d).SendMessages(ctx, messagesOf(lines))
	}
	_, err = post(ctx, u.String(), "application/x-ndjson", lines)
	return err
}

// messageID is the MSGID of the syslog messages.
const messageID = "audit.head"

// messagesOf returns each line as a syslog message.
func messagesOf(lines []byte) []siem.Message {
	var messages []siem.Message
	now := time.Now() //nolint:forbidigo // the time at which the message is sent
	for line := range bytes.Lines(lines) {
		messages = append(messages, siem.Message{Time: now, ID: messageID, Text: bytes.TrimSuffix(line, []byte("\n"))})
	}
	return messages
}

// appendTo appends lines to a file, and waits until they are on the disk.
func appendTo(path string, lines []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(lines)
	return errors.Join(err, f.Sync(), f.Close())
}

// client sends to addresses that the operator has configured.
var client = &http.Client{
	Timeout:   30 * time.Second,
	Transport: tracing.Transport(http.DefaultTransport, tracing.PeerAnchor),
}

func post(ctx context.Context, to, contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", contentType)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	const longest = 1 << 20
	answer, err := io.ReadAll(io.LimitReader(response.Body, longest))
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("status %s", response.Status)
	}
	return answer, err
}
