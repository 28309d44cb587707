package events

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/safehttp"
)

// TestLastErrorHoldsNoNamesOrAddresses tries errors of Go's client for unreachable receivers.
func TestLastErrorHoldsNoNamesOrAddresses(t *testing.T) {
	t.Parallel()
	at := &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 5432}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Addr: at, Err: err} }
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"DNS": {
			dial(&net.DNSError{Err: "no such host", Name: "db.internal", Server: "10.0.0.2:53"}),
			"the name of the receiver could not be resolved",
		},
		"refused":    {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "the receiver refused the connection"},
		"no route":   {dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "the receiver could not be reached"},
		"not public": {dial(safehttp.ErrNotPublic), safehttp.ErrNotPublic.Error()},
		"deadline":   {context.DeadlineExceeded, "no answer within 10s"},
		"answered":   {errStatus(500), "the receiver answered 500"},
		"secret":     {errSecret, "the secret of the webhook cannot be decrypted; create a new one (rotate-secret)"},
		"other":      {errors.New("malformed HTTP response from db.internal 10.1.2.3"), "the receiver could not be reached"},
	} {
		said := deliveryError(&url.Error{Op: "Post", URL: "https://db.internal/?token=x", Err: fmt.Errorf("wrapped: %w", test.err)},
			attemptTimeout)
		require.Equal(t, test.says, said, name)
		require.NotRegexp(t, `10\.|internal|:53|token`, said, name)
	}
}
