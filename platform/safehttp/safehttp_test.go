package safehttp

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"8.8.8.8", "93.184.216.34", "::ffff:8.8.8.8", "2606:4700::1111"} {
		require.True(t, isPublic(netip.MustParseAddr(address)), address)
	}
	for _, address := range []string{
		"127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
		"0.0.0.0", "0.1.2.3", "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1",
		"ff02::1", "fec0::1",
		"64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "2001:db8::1",
	} {
		require.False(t, isPublic(netip.MustParseAddr(address)), address)
	}
	require.False(t, isPublic(netip.Addr{}))
}

func TestClientRefusesPrivateAddresses(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was reached") }))
	defer inside.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, inside.URL, nil)
	require.NoError(t, err)
	response, err := NewClient(time.Second, false).Do(request)
	if err == nil {
		response.Body.Close()
	}
	require.ErrorIs(t, err, ErrNotPublic)
}
