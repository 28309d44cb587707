package audit

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/audit/anchor"
	"omnirapeutic/platform/db"
)

// Anchors says where the heads of the trails are kept outside of the database.
type Anchors struct {
	Keys         [][]byte // of the MACs: the first one signs, all of them are accepted
	Authority    *anchor.Authority
	Destinations []anchor.Destination
}

// CopyHeads seals waiting events, as the sealer does. It then logs the last position and hash of each
// chain, sends them to the anchors, and returns the number of chains. A rewritten chain can be detected by
// comparison; see [Service.CompareHeads]. The error names the destinations that have failed.
func (s *Service) CopyHeads(ctx context.Context) (int64, error) {
	if _, err := s.seal(ctx, maxSealTransactions); err != nil {
		return 0, err
	}
	heads, err := db.Snapshot(ctx, s.database, "audit.heads", s.store.heads, db.AllOrganizations())
	if err != nil {
		return 0, err
	}
	var anchored []anchor.Head
	for _, h := range heads {
		s.logger.WithFields(logrus.Fields{
			"event": "audit_head", "organization_id": h.OrganizationID, "position": h.Position, "hash": h.Hash.String(),
		}).Info("head of the audit trail")
		if h.Position > 0 && len(s.anchors.Keys) > 0 {
			anchored = append(anchored, anchor.Head{
				Time: s.now(), OrganizationID: h.OrganizationID, Position: h.Position, Hash: h.Hash.String(),
			}.Sign(s.anchors.Keys[0]))
		}
	}
	return int64(len(heads)), anchor.Push(ctx, anchored, s.anchors.Authority, s.anchors.Destinations)
}

// CompareHeads compares anchored heads with the trails. It reports:
//
//   - mac: every head has the MAC of a key of the program
//   - anchor: the trail has the anchored hash at the anchored position
//
// Heads before a checkpoint are not compared, because their events were removed. [Findings.Events] is the
// number of compared heads, and [Findings.Removed] that of the others.
func (s *Service) CompareHeads(ctx context.Context, heads []anchor.Head) (Findings, error) {
	r := Findings{Heads: []Head{}, Problems: []Finding{}}
	states := map[uuid.UUID]chainState{}
	_, err := db.Snapshot(ctx, s.database, "audit.anchors", func(ctx context.Context) (struct{}, error) {
		for _, h := range heads {
			state, known := states[h.OrganizationID]
			if !known {
				var err error
				if state, err = s.store.chainState(ctx, h.OrganizationID); err != nil {
					return struct{}{}, err
				}
				states[h.OrganizationID] = state
			}
			if h.Position < state.firstPosition() {
				r.Removed++
				continue
			}
			found, err := s.store.hashAt(ctx, h.OrganizationID, h.Position)
			if err != nil {
				return struct{}{}, err
			}
			r.addAll(compareAnchor(h, found, h.IsSigned(s.anchors.Keys...)))
		}
		return struct{}{}, nil
	}, db.AllOrganizations())
	r.OK = r.ProblemCount == 0
	return r, err
}

// compareAnchor compares an anchored head with the hash at its position, "" if there is none.
func compareAnchor(h anchor.Head, found string, signed bool) Findings {
	r := Findings{Events: 1}
	when := fmt.Sprintf("as anchored on %s", h.Time.UTC().Format("2006-01-02 15:04:05 UTC"))
	if !signed {
		r.add(Finding{h.OrganizationID, "mac", h.Position, 0, "the MAC of a key of this program, " + when, "another MAC"})
	}
	if found != h.Hash {
		if found == "" {
			found = "no event"
		}
		r.add(Finding{h.OrganizationID, "anchor", h.Position, 0, "the hash " + h.Hash + ", " + when, found})
	}
	return r
}
