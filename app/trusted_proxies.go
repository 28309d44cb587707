package app

import (
	"net"
	"net/netip"

	"github.com/labstack/echo/v4"
)

// addressBehind returns the client's address: the connection's, unless that is a
// trusted proxy. Then it is the last address in X-Forwarded-For that is not a trusted
// proxy; earlier entries are client input. Other headers, and headers of other senders
// (including this machine), are ignored.
func addressBehind(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		options = append(options, echo.TrustIPRange(&net.IPNet{
			IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}
