package events

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"omnirapeutic/platform/safehttp"
)

// retryDelays are the delays after the first attempt, the second, and so on, each varied by up to a
// fifth: eight attempts in about 23 hours.
var retryDelays = []time.Duration{
	15 * time.Second, time.Minute, 4 * time.Minute, 16 * time.Minute, time.Hour, 4 * time.Hour, 17 * time.Hour,
}

// retryDelay returns the delay after the given number of failed attempts, and whether there is another
// one. Random returns numbers in [0, 1).
func retryDelay(attempts int, random func() float64) (delay time.Duration, retry bool) {
	if attempts > len(retryDelays) {
		return 0, false
	}
	const jitter = 0.2
	return time.Duration(float64(retryDelays[attempts-1]) * (1 + jitter*(2*random()-1))), true
}

// deliveryError returns why an attempt failed, as one of a fixed set of texts. It contains neither
// results of name resolution nor system errors, which would reveal internal networks, nor the
// URL, which may contain a secret of the receiver. timeout is the limit of the attempt.
func deliveryError(err error, timeout time.Duration) string {
	var (
		answered    errStatus
		name        *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &answered):
		return answered.Error()
	case errors.Is(err, errSecret):
		return errSecret.Error()
	case errors.Is(err, safehttp.ErrNotPublic):
		return safehttp.ErrNotPublic.Error()
	case errors.As(err, &name):
		return "the name of the receiver could not be resolved"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer within " + timeout.String()
	case errors.As(err, &certificate):
		return "the receiver's certificate is not valid for its name"
	case errors.As(err, &record):
		return "the receiver does not speak TLS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the receiver refused the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the receiver closed the connection without an answer"
	}
	return "the receiver could not be reached"
}

// errStatus means that the receiver answered with a status other than 2xx.
type errStatus int

func (e errStatus) Error() string { return fmt.Sprintf("the receiver answered %d", int(e)) }
