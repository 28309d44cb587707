package anchor

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
)

// Stamp is a time stamp that was checked: the heads before it existed at its time.
type Stamp struct {
	Time   time.Time
	signer *x509.Certificate
	others []*x509.Certificate
}

// Trust returns an error unless one of the roots has certified the signer for time stamps (RFC 3161,
// section 2.3) at the time of the stamp.
func (s Stamp) Trust(roots *x509.CertPool) error {
	others := x509.NewCertPool()
	for _, c := range s.others {
		others.AddCert(c)
	}
	_, err := s.signer.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, CurrentTime: s.Time,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	return err
}

// nonceBits is the size of the number that a response must repeat, so that it is not an older one.
const nonceBits = 64

// request asks the authority for a time stamp of the lines, and returns its response.
func (a Authority) request(ctx context.Context, lines []byte) ([]byte, error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), nonceBits))
	if err != nil {
		return nil, err
	}
	query, err := timestamp.CreateRequest(bytes.NewReader(lines),
		&timestamp.RequestOptions{Hash: crypto.SHA256, Certificates: true, Nonce: nonce})
	if err != nil {
		return nil, err
	}
	response, err := post(ctx, a.URL, "application/timestamp-query", query)
	if err != nil {
		return nil, err
	}
	parsed, err := timestamp.ParseResponse(response)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the authority's response: %w", err)
	case parsed.Nonce == nil || parsed.Nonce.Cmp(nonce) != 0:
		return nil, errors.New("the authority's response is for another request")
	}
	_, err = check(response, lines)
	return response, err
}

// check returns the time stamp of a response, if its signature is valid and it is for the lines.
func check(response, lines []byte) (Stamp, error) {
	parsed, err := timestamp.ParseResponse(response)
	if err != nil {
		return Stamp{}, err
	}
	sum := sha256.Sum256(lines)
	if parsed.HashAlgorithm != crypto.SHA256 || !bytes.Equal(parsed.HashedMessage, sum[:]) {
		return Stamp{}, errors.New("it is for other content")
	}
	token, err := pkcs7.Parse(parsed.RawToken)
	if err != nil {
		return Stamp{}, err
	}
	signer := token.GetOnlySigner()
	if signer == nil {
		return Stamp{}, errors.New("it has no certificate of its one signer, so its signature cannot be checked")
	}
	return Stamp{parsed.Time, signer, token.Certificates}, token.Verify()
}
