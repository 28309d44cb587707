// Package siem sends audit events to systems for security information and event management (SIEM): as
// syslog messages over TLS, or as JSON lines by HTTPS.
package siem

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/tracing"
)

// Event is a sealed event of an audit trail. Its JSON is the text of a syslog message, and a line by HTTPS.
type Event struct {
	OrganizationID uuid.UUID       `json:"organizationId"`
	Position       int64           `json:"position"` // in the trail of the organization: 1, 2, 3, … without a gap
	Hash           string          `json:"hash"`     // of the chain, at the position
	OccurredAt     time.Time       `json:"occurredAt"`
	ActorID        *uuid.UUID      `json:"actorId"`
	RequestID      string          `json:"requestId"`
	Address        string          `json:"address"` // of the client
	Action         string          `json:"action"`
	Outcome        string          `json:"outcome"` // done or denied
	SubjectType    string          `json:"subjectType"`
	SubjectID      *uuid.UUID      `json:"subjectId"`
	PatientID      *uuid.UUID      `json:"patientId"`
	GrantID        *uuid.UUID      `json:"grantId"`
	Before         json.RawMessage `json:"before,omitempty"`
	After          json.RawMessage `json:"after,omitempty"`
}

// Destination is the URL of a receiver:
//
//   - syslog+tls://HOST:PORT: syslog messages (RFC 5424) over TLS (RFC 5425); the port is 6514 by default
//   - https://HOST/PATH: lines are sent with POST, as application/x-ndjson. A user and a password in the URL are
//     sent as basic authentication
//
// The parameter ca names a file with the certificates (PEM) of authorities, in place of the system's.
type Destination string

// Timeouts of one batch.
const (
	connectTimeout = 10 * time.Second
	batchTimeout   = 30 * time.Second
)

// Name returns the URL without credentials and parameters. It identifies the destination.
func (d Destination) Name() string {
	u, err := url.Parse(string(d))
	if err != nil {
		return "invalid"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// Send sends the events, and returns nil once the receiver has acknowledged all of them: by HTTPS with a status
// of 2xx, by syslog by ending its side of the connection after ours. After an error the receiver may have some or
// all events.
func (d Destination) Send(ctx context.Context, events []Event) (err error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	u, settings, err := d.parse()
	if err != nil {
		return err
	}
	ctx, span := tracing.Start(ctx, "send audit events")
	defer func() {
		if err != nil {
			span.Fail("not-sent")
		}
		span.End()
	}()
	span.Set(tracing.Peer, tracing.PeerSIEM)
	span.SetNumber(tracing.Rows, len(events))
	if u.Scheme == "https" {
		return sendLines(ctx, u, settings, events)
	}
	messages, err := messagesOf(events)
	if err != nil {
		return err
	}
	return sendSyslog(ctx, u, settings, messages)
}

// SendMessages sends syslog messages to a destination of the scheme syslog+tls, as [Destination.Send] does.
func (d Destination) SendMessages(ctx context.Context, messages []Message) error {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	u, settings, err := d.parse()
	if err != nil {
		return err
	}
	return sendSyslog(ctx, u, settings, messages)
}

// parse returns the URL of the destination, and the settings of TLS.
func (d Destination) parse() (*url.URL, *tls.Config, error) {
	u, err := url.Parse(string(d))
	if err != nil {
		return nil, nil, errors.New("siem: the destination is not a URL")
	}
	trusted, err := authorities(u.Query().Get("ca"))
	return u, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted}, err
}

// authorities reads the certificates of a file; nil means the system's.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("siem: read the authorities of the receiver: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("siem: the file of authorities has no certificate")
	}
	return pool, nil
}

// sendLines sends JSON lines by HTTPS.
func sendLines(ctx context.Context, to *url.URL, settings *tls.Config, events []Event) error {
	var body bytes.Buffer
	lines := json.NewEncoder(&body)
	for _, e := range events {
		if err := lines.Encode(e); err != nil {
			return err
		}
	}
	address := *to
	address.RawQuery, address.User = withoutCA(to.Query()), nil
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), &body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	if password, given := to.User.Password(); given {
		request.SetBasicAuth(to.User.Username(), password)
	}
	transport := &http.Transport{TLSClientConfig: settings, TLSHandshakeTimeout: connectTimeout, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	response, err := tracing.Transport(transport, tracing.PeerSIEM).RoundTrip(request) // follows no redirect
	if err != nil {
		return fmt.Errorf("siem: send to %s: %w", Destination(to.String()).Name(), err)
	}
	defer response.Body.Close()
	const longest = 64 << 10
	_, _ = io.CopyN(io.Discard, response.Body, longest)
	if response.StatusCode/100 != 2 { //nolint:mnd // the class of success
		return fmt.Errorf("siem: %s answered %s", Destination(to.String()).Name(), response.Status)
	}
	return nil
}

func withoutCA(parameters url.Values) string {
	parameters.Del("ca")
	return parameters.Encode()
}

// sendSyslog sends syslog messages on a connection of their own. Syslog has no acknowledgements. A receiver that
// gets our close_notify has read everything before it and answers with its own (RFC 5425, section 4.4), so the
// end of its stream counts as one.
func sendSyslog(ctx context.Context, to *url.URL, settings *tls.Config, messages []Message) error {
	address := to.Host
	if to.Port() == "" {
		address = net.JoinHostPort(to.Hostname(), "6514")
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: connectTimeout}, Config: settings}
	dialed, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("siem: connect to %s: %w", address, err)
	}
	defer dialed.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = dialed.SetDeadline(deadline) // fails on closed connections only
	}
	stop := context.AfterFunc(ctx, func() { _ = dialed.SetDeadline(time.Unix(1, 0)) }) // a time in the past
	defer stop()
	if _, err := dialed.Write(frames(messages)); err != nil {
		return fmt.Errorf("siem: send to %s: %w", address, err)
	}
	connection := dialed.(*tls.Conn) // the type of tls.Dialer
	if err := connection.CloseWrite(); err != nil {
		return fmt.Errorf("siem: end the messages to %s: %w", address, err)
	}
	if err := awaitEnd(connection); err != nil {
		return fmt.Errorf("siem: %s has not confirmed the end of the messages: %w", address, err)
	}
	return nil
}

// awaitEnd waits until the receiver ends its side. A close_notify alone may come from a receiver that has not
// read everything: its operating system then resets the connection.
func awaitEnd(c *tls.Conn) error {
	if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if tcp, ok := c.NetConn().(*net.TCPConn); ok {
		if err := tcp.CloseWrite(); err != nil { // for a receiver that waits for our end
			return err
		}
	}
	_, err := io.Copy(io.Discard, c.NetConn())
	return err
}
