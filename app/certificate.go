package app

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"omnirapeutic/config"
	"omnirapeutic/platform/ciphers"
)

// certificateInterval is the interval between checks of the files. A certificate is
// renewed weeks before it expires, so delays do not matter.
const certificateInterval = 10 * time.Second

// certificate is the server's TLS certificate. It is loaded from two files, and again
// when they change, so that a renewal needs no restart: existing connections keep
// theirs. Reading it during handshakes is safe for concurrent use; reloading is not.
type certificate struct {
	files   config.TLS
	current atomic.Pointer[tls.Certificate]
	content digest // of the files' content when the current certificate was loaded
	refused digest // of the last content that was invalid
	logged  bool   // the invalid content has been logged
}

type digest [sha256.Size]byte

// CheckCertificate returns an error if there is a certificate that cannot be used, or that has expired.
func CheckCertificate(files config.TLS) error {
	if !files.Given() {
		return nil
	}
	c, err := readCertificate(files)
	if err != nil {
		return err
	}
	if end := c.current.Load().Leaf.NotAfter; time.Now().After(end) {
		return fmt.Errorf("the certificate %s expired on %s", files.Certificate, end.UTC().Format(time.RFC3339))
	}
	return nil
}

// readCertificate loads both files. Its error describes the fault.
func readCertificate(files config.TLS) (*certificate, error) {
	c := &certificate{files: files}
	pair, content, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("the certificate cannot be used (OMNI_TLS_CERTIFICATE, OMNI_TLS_KEY): %w", err)
	}
	c.current.Store(pair)
	c.content = content
	return c, nil
}

// read loads the files and returns their digest, or the digest of the error.
func (c *certificate) read() (*tls.Certificate, digest, error) {
	chain, err := os.ReadFile(c.files.Certificate)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	key, err := os.ReadFile(c.files.Key)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	content := sha256.Sum256(fmt.Appendf(nil, "%d\n%s%s", len(chain), chain, key))
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, content, err
	}
	return &pair, content, nil
}

// config returns the TLS configuration: TLS 1.2 or newer, without suites in CBC mode, and with the
// curves that Go's maintainers recommend.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: ciphers.Suites(),
		NextProtos:   []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}

// expires returns the expiry of the certificate, in seconds since 1970.
func (c *certificate) expires() float64 { return float64(c.current.Load().Leaf.NotAfter.Unix()) }

// watch checks the files at each tick and each SIGHUP until ctx ends. If they hold no
// valid pair, it keeps the current certificate.
func (c *certificate) watch(
	ctx context.Context, ticks <-chan time.Time, hangUps <-chan os.Signal, logger logrus.FieldLogger,
) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			c.check(false, logger)
		case <-hangUps:
			c.check(true, logger)
		}
	}
}

// check loads changed files. While only one file has been replaced, the pair does not
// match, so an invalid pair is logged once, at the second check. After SIGHUP it is
// logged at once.
func (c *certificate) check(requested bool, logger logrus.FieldLogger) {
	pair, content, err := c.read()
	switch {
	case err == nil && content == c.content:
		c.refused, c.logged = digest{}, false
		if requested {
			logger.WithField("event", "certificate_unchanged").Info("the certificate files have not changed")
		}
	case err == nil:
		c.current.Store(pair)
		c.content, c.refused, c.logged = content, digest{}, false
		expires := pair.Leaf.NotAfter.UTC().Format(time.RFC3339)
		logger.WithFields(logrus.Fields{"event": "certificate_read", "expires": expires}).
			Info("the certificate was reloaded for new connections")
	default:
		again := content == c.refused
		c.refused, c.logged = content, again && c.logged
		if requested || again && !c.logged {
			c.logged = true
			logger.WithFields(logrus.Fields{"event": "certificate_refused", "error": err}).
				Error("the certificate files hold no valid certificate and key; the current certificate remains in use")
		}
	}
}
