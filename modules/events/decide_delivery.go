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
