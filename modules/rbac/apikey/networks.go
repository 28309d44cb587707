package apikey

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"omnirapeutic/platform/fault"
)

// maxNetworks limits the number of networks of an API key.
const maxNetworks = 20

// Networks holds the networks from which an API key may be used; empty: all. In the database it
// is a text[], and no element needs quoting.
type Networks []netip.Prefix

// parseNetworks returns the networks, and an error for each invalid one. "203.0.113.7" is that
// address alone.
func parseNetworks(texts []string) (Networks, []fault.Field) {
	var fieldErrors []fault.Field
	networks := Networks{}
	for i, text := range texts {
		network, err := parseNetwork(text)
		switch {
		case err != nil:
			fieldErrors = append(fieldErrors, fault.Field{
				Field: fmt.Sprintf("networks[%d]", i), Code: "network",
				Message: "must be a network such as 203.0.113.0/24 or 2001:db8::/32, or a single address",
			})
		case !slices.Contains(networks, network):
			networks = append(networks, network)
		}
	}
	if len(networks) > maxNetworks {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "networks", Code: "max", Message: fmt.Sprintf("must have at most %d entries", maxNetworks),
		})
	}
	return networks, fieldErrors
}

var errZone = errors.New("rbac: a network has a zone")

func parseNetwork(text string) (netip.Prefix, error) {
	if network, err := netip.ParsePrefix(text); err == nil && !network.Addr().Is4In6() {
		return network.Masked(), nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if address.Zone() != "" {
		return netip.Prefix{}, errZone
	}
	address = address.Unmap()
	return netip.PrefixFrom(address, address.BitLen()), nil
}

// contains reports whether a connection from the address may use the key. An invalid address is in
// no network.
func (l Networks) contains(address string) bool {
	if len(l) == 0 {
		return true
	}
	at, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	at = at.WithZone("").Unmap()
	return slices.ContainsFunc(l, func(network netip.Prefix) bool { return network.Contains(at) })
}

// Texts returns the networks in the form that the API shows.
func (l Networks) Texts() []string {
	texts := make([]string, len(l))
	for i, network := range l {
		texts[i] = network.String()
	}
	return texts
}

// Value writes the list to the database.
func (l Networks) Value() (driver.Value, error) {
	return "{" + strings.Join(l.Texts(), ",") + "}", nil
}

// Scan reads the list from the database.
func (l *Networks) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("rbac: cannot read networks from %T", value)
	}
	*l = Networks{}
	for name := range strings.SplitSeq(strings.Trim(text, "{}"), ",") {
		if name == "" {
			continue
		}
		network, err := netip.ParsePrefix(name)
		if err != nil {
			return err
		}
		*l = append(*l, network)
	}
	return nil
}
