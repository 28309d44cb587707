// Package ciphers lists the cipher suites of encrypted connections, in both directions.
package ciphers

import "crypto/tls"

// Suites are the TLS 1.2 suites with forward secrecy and authenticated encryption. They exclude
// suites in CBC mode, which Go still offers by default. TLS 1.3 has no such suites.
func Suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}
