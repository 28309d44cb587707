package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"

	"github.com/google/uuid"
)

// newTransport keeps a connection per client open, and avoids work that would delay a
// measured request.
func newTransport(clients int) *http.Transport {
	var plain http.Protocols
	plain.SetHTTP1(true)
	return &http.Transport{
		MaxIdleConnsPerHost:   clients + sideCalls,
		DisableCompression:    true,
		Protocols:             &plain,
		ResponseHeaderTimeout: requestTimeout,
	}
}

// caller sends the measured requests of one client. It runs on the measured machine, so
// it reuses buffers. Not safe for concurrent use.
type caller struct {
	api     *api
	request *http.Request
	key     []string // values of the headers that change
	bearer  []string
	answer  []byte
}

func newCaller(ctx context.Context, a *api) *caller {
	c := &caller{api: a, answer: make([]byte, 0, 4096)}
	c.renew(ctx)
	return c
}

// renew replaces the parts that the transport may still use after an error.
func (c *caller) renew(ctx context.Context) {
	c.key, c.bearer = make([]string, 1), make([]string, 1)
	// No GetBody: with an Idempotency-Key the transport would retry by itself, and an
	// uncounted retry would hide a failure.
	c.request = (&http.Request{
		Method: http.MethodPost,
		Header: http.Header{
			"Content-Type":    {"application/json"},
			"Authorization":   c.bearer,
			"Idempotency-Key": c.key,
		},
	}).WithContext(ctx)
}

// post sends one request and returns the status and the body of the answer, which is
// valid until the next call.
func (c *caller) post(address *url.URL, body []byte) (status int, answer []byte, err error) {
	c.key[0], c.bearer[0] = uuid.NewString(), *c.api.bearer.Load()
	c.request.URL, c.request.Host = address, address.Host
	// net/http recognizes this type as in memory. For others it sends the headers in a
	// separate packet, which would wake the server twice.
	c.request.Body, c.request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	response, err := c.api.transport.RoundTrip(c.request)
	if err != nil {
		c.renew(c.request.Context())
		return 0, nil, err
	}
	defer response.Body.Close()
	if err := c.read(response.Body); err != nil {
		c.renew(c.request.Context())
		return response.StatusCode, nil, err
	}
	return response.StatusCode, c.answer, nil
}

// read reads the whole answer, so that the connection can be reused.
func (c *caller) read(from io.Reader) error {
	c.answer = c.answer[:0]
	for {
		if len(c.answer) == cap(c.answer) {
			c.answer = append(c.answer, 0)[:len(c.answer)]
		}
		n, err := from.Read(c.answer[len(c.answer):cap(c.answer)])
		c.answer = c.answer[:len(c.answer)+n]
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type outcome uint8

const (
	accepted outcome = iota
	refused          // the server answered insufficient-units
	failed           // anything else
)

// verdict is the meaning of an answer.
type verdict struct {
	outcome outcome
	unknown bool   // failed, but the operation may have been executed
	code    string // for a failure: status and code, or the kind of transport error
	detail  string // for a failure: the text
}

// classify interprets the answer to an operation on units. A refusal is a valid answer;
// any other unexpected answer is a failure. The outcome is unknown only without an
// answer, or if the server reports that it is. Every other status promises no effect,
// which the check of the units verifies.
func classify(k kind, status int, answer []byte, err error) verdict {
	if err != nil {
		return verdict{outcome: failed, unknown: true, code: transportCode(err), detail: err.Error()}
	}
	if status == operations[k].done {
		return verdict{outcome: accepted}
	}
	p := parseProblem(answer)
	if status == http.StatusConflict && p.Code == "insufficient-units" {
		return verdict{outcome: refused}
	}
	v := verdict{outcome: failed, code: strconv.Itoa(status), detail: p.Detail}
	if p.Code != "" {
		v.code += " " + p.Code
	}
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		v.unknown = true
	default:
		v.unknown = status < 300 // a success, but not the expected one
	}
	return v
}

func transportCode(err error) string {
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "unanswered at the end"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err,
		io.ErrUnexpectedEOF):
		return "connection lost"
	default:
		return "transport error"
	}
}

var reserveOne = []byte(`{"units":1}`)

// body returns the body of the request.
func (s step) body() []byte {
	switch s.kind {
	case release, consume:
		b := append(make([]byte, 0, 96), `{"reservationId":"`...)
		b = append(b, s.reservation...)
		return append(b, `","units":1}`...)
	case book:
		return s.account.visits.next()
	case cancel, complete:
		return emptyBody
	default:
		return reserveOne
	}
}

// reservationOf reads the id of the created reservation.
func reservationOf(answer []byte) (string, error) {
	var created struct {
		Reservation struct {
			ID uuid.UUID `json:"id"`
		} `json:"reservation"`
	}
	if err := json.Unmarshal(answer, &created); err != nil {
		return "", fmt.Errorf("the answer to a reserve is not JSON: %w", err)
	}
	if created.Reservation.ID == uuid.Nil {
		return "", errors.New("the answer to a reserve has no reservation id")
	}
	return created.Reservation.ID.String(), nil
}
