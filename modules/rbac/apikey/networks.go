package rbac

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// maxNetworks limits the number of networks of an API key.
const maxNetworks = 20

// networkList holds the networks from which an API key may be used; empty: all. In the database it
// is a text[], and no element needs quoting.
type networkList []netip.Prefix

// parseNetworks returns the networks, and an error for each invalid one. "203.0.113.7" is that
// address alone.
func parseNetworks(texts []string) (networkList, []fault.Field) {
	var fieldErrors []fault.Field
	networks := networkList{}
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
func (l networkList) contains(address string) bool {
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

// texts returns the networks in the form that the API shows.
func (l networkList) texts() []string {
	texts := make([]string, len(l))
	for i, network := range l {
		texts[i] = network.String()
	}
	return texts
}

// Value writes the list to the database.
func (l networkList) Value() (driver.Value, error) {
	return "{" + strings.Join(l.texts(), ",") + "}", nil
}

// Scan reads the list from the database.
func (l *networkList) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("rbac: a list of networks is %T", value)
	}
	*l = networkList{}
	for each := range strings.SplitSeq(strings.Trim(text, "{}"), ",") {
		if each == "" {
			continue
		}
		network, err := netip.ParsePrefix(each)
		if err != nil {
			return err
		}
		*l = append(*l, network)
	}
	return nil
}

// refusedUses limits how often the use of a key from another network is recorded, so that a thief
// with a stolen key cannot fill the audit trail. The zero value is empty. Safe for concurrent use.
type refusedUses struct {
	mutex sync.Mutex
	last  map[refusedUse]time.Time
}

type refusedUse struct {
	hash    db.Hash // of the key
	address string
}

const (
	recordRefusedUse = time.Minute // at most one record per key and address in this time
	maxRefusedUses   = 1024        // remembered at once
)

// isDue reports whether to record a refused use, and remembers it.
func (r *refusedUses) isDue(use refusedUse, now time.Time) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if last, known := r.last[use]; known && now.Sub(last) < recordRefusedUse {
		return false
	}
	if r.last == nil || len(r.last) >= maxRefusedUses {
		r.last = map[refusedUse]time.Time{}
	}
	r.last[use] = now
	return true
}

// refuseNetwork records that a key was used outside its networks, at most once a minute for each
// address. It returns the same refusal as for an invalid key.
func (s *Service) refuseNetwork(ctx context.Context, key identity.Caller, hash db.Hash) error {
	address := trail.Address(ctx)
	if !s.refusedUses.isDue(refusedUse{hash, address}, s.now()) {
		return errKey
	}
	err := s.audit.Note(ctx, []trail.Event{{
		OrganizationID: key.OrganizationID, ActorID: key.UserID, RequestID: telemetry.RequestID(ctx), Address: address,
		Action: "api-key.use", SubjectType: "api-key", SubjectID: key.UserID, OccurredAt: s.now(),
		Outcome: trail.Denied, After: refusedSignIn{"network"},
	}})
	if err != nil {
		return err
	}
	return errKey
}
