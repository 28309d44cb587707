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

// certificateInterval is between looks at the files. A certificate is renewed weeks
// before it ends: nobody waits for this.
const certificateInterval = 10 * time.Second

// certificate is what the server shows to those who connect. It is read from two
// files, and again when they change, so that a renewed one needs no restart:
// connections that are there stay as they are, new ones get the new one. Showing it
// is safe for concurrent use, reading it again is not.
type certificate struct {
	files  config.TLS
	shown  atomic.Pointer[tls.Certificate]
	held   digest // of what the files held when what is shown was read
	misfit digest // of what they held when it was last of no use
	told   bool   // that it is of no use
}

type digest [sha256.Size]byte

// readCertificate reads both files. The error says what is wrong with them.
func readCertificate(files config.TLS) (*certificate, error) {
	c := &certificate{files: files}
	pair, held, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("the certificate cannot be used (OMNI_TLS_CERTIFICATE, OMNI_TLS_KEY): %w", err)
	}
	c.shown.Store(pair)
	c.held = held
	return c, nil
}

// read returns what the files hold, and its digest, or that of what is wrong.
func (c *certificate) read() (*tls.Certificate, digest, error) {
	chain, err := os.ReadFile(c.files.Certificate)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	key, err := os.ReadFile(c.files.Key)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	held := sha256.Sum256(fmt.Appendf(nil, "%d\n%s%s", len(chain), chain, key))
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, held, err
	}
	return &pair, held, nil
}

// config returns the TLS configuration: TLS 1.2 or newer, without suites in CBC mode, and with the
// curves that Go's maintainers recommend.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: ciphers.Suites(),
		NextProtos:   []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.shown.Load(), nil
		},
	}
}

// expires is when what is shown ends, in seconds since 1970.
func (c *certificate) expires() float64 { return float64(c.shown.Load().Leaf.NotAfter.Unix()) }

// watch looks at the files at each tick and each hang-up until ctx ends. Where they
// do not hold a certificate and its key, the one that is shown stays.
func (c *certificate) watch(ctx context.Context, ticks <-chan time.Time, hangUps <-chan os.Signal, logger logrus.FieldLogger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			c.look(false, logger)
		case <-hangUps:
			c.look(true, logger)
		}
	}
}

// look shows what the files hold. Between the writing of one file and that of the
// other they do not fit together, so that is told when it is still so at the next
// look, and once; and at once where somebody has asked.
func (c *certificate) look(asked bool, logger logrus.FieldLogger) {
	pair, held, err := c.read()
	switch {
	case err == nil && held == c.held:
		c.misfit, c.told = digest{}, false
		if asked {
			logger.WithField("event", "certificate_unchanged").Info("the files hold the certificate that is shown already")
		}
	case err == nil:
		c.shown.Store(pair)
		c.held, c.misfit, c.told = held, digest{}, false
		logger.WithFields(logrus.Fields{"event": "certificate_read", "expires": pair.Leaf.NotAfter.UTC().Format(time.RFC3339)}).
			Info("new connections get a new certificate")
	default:
		again := held == c.misfit
		c.misfit, c.told = held, again && c.told
		if asked || again && !c.told {
			c.told = true
			logger.WithFields(logrus.Fields{"event": "certificate_refused", "error": err}).
				Error("the files hold no certificate with its key: the old one stays")
		}
	}
}
