package app

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddressBehindProxies(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8:7::/48")}
	for name, c := range map[string]struct {
		proxies    []netip.Prefix
		connection string
		header     http.Header
		want       string
	}{
		"it trusts no header without trusted proxies": {
			nil, "10.1.0.1:1", http.Header{"X-Forwarded-For": {"192.0.2.7"}}, "10.1.0.1",
		},
		"it trusts a configured proxy": {
			trusted, "10.1.0.1:1", http.Header{"X-Forwarded-For": {"192.0.2.7"}}, "192.0.2.7",
		},
		"it trusts one by IPv6": {
			trusted, "[2001:db8:7::1]:1", http.Header{"X-Forwarded-For": {"2001:db8::9"}}, "2001:db8::9",
		},
		"it trusts no other address": {
			trusted, "10.2.0.1:1", http.Header{"X-Forwarded-For": {"192.0.2.7"}}, "10.2.0.1",
		},
		"it trusts no address for being local": {
			trusted, "127.0.0.1:1",
			http.Header{"X-Forwarded-For": {"192.0.2.7"}},
			"127.0.0.1",
		},
		"it uses the address the proxy saw, not the client's claim": {
			trusted, "10.1.0.1:1", http.Header{"X-Forwarded-For": {"198.51.100.1, 192.0.2.7"}}, "192.0.2.7",
		},
		"it combines several headers to one list": {
			trusted, "10.1.0.1:1", http.Header{"X-Forwarded-For": {"198.51.100.1", "192.0.2.7"}}, "192.0.2.7",
		},
		"it skips proxies behind each other": {
			trusted, "10.1.0.1:1", http.Header{"X-Forwarded-For": {"198.51.100.1, 192.0.2.7, 10.1.0.2"}}, "192.0.2.7",
		},
		"it uses the connection if a list is invalid": {
			trusted, "10.1.0.1:1",
			http.Header{"X-Forwarded-For": {"192.0.2.7, <script>"}},
			"10.1.0.1",
		},
		"it uses the connection if there is no list": {trusted, "10.1.0.1:1", http.Header{}, "10.1.0.1"},
		"it trusts no other header": {
			trusted, "10.1.0.1:1",
			http.Header{"X-Real-Ip": {"192.0.2.7"}, "Forwarded": {"for=192.0.2.7"}, "True-Client-Ip": {"192.0.2.7"}},
			"10.1.0.1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr, r.Header = c.connection, c.header
			require.Equal(t, c.want, addressBehind(c.proxies)(r))
		})
	}
}
