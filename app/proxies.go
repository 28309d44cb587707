package app

import (
	"net"
	"net/netip"

	"github.com/labstack/echo/v4"
)

// addressBehind tells the address of who asks: of the connection, unless that comes
// from a proxy that is trusted. Then it is the last one in X-Forwarded-For that no
// trusted proxy has: what stands before it was written by whoever asked. No other
// header is believed, and none from anybody else, be it from this machine.
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
