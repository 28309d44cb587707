package appointments

import (
	"context"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/record"
)

// CompareSignatures checks the signed notes of the sessions on authorizations, and reports every
// disagreement:
//
//   - signature: every signature has the hash of its fields and names an existing version of its session,
//     and the text that it names is stored with its hash
//   - note: the note of a session has the signed text until a correction opens it
//   - addendum: every addendum has the hash of its fields
//
// It runs in the transaction of the context and needs no caller.
func (s *NoteService) CompareSignatures(
	ctx context.Context, snapshots []authorization.Snapshot,
) (authorization.Compared, error) {
	var compared authorization.Compared
	keys := make([]record.Key, len(snapshots))
	for i, b := range snapshots {
		keys[i] = record.Of(b.OrganizationID, b.ID)
	}
	signatures, err := s.store.signaturesToVerify(ctx, keys)
	if err != nil {
		return compared, err
	}
	addenda, err := s.store.addendaToVerify(ctx, keys)
	if err != nil {
		return compared, err
	}
	for i, b := range snapshots {
		c := comparison{Snapshot: b}
		for _, g := range signatures[keys[i]] {
			c.compareSignature(g)
		}
		for _, a := range addenda[keys[i]] {
			c.compareAddendum(a)
		}
		compared.Problems = append(compared.Problems, c.problems...)
	}
	return compared, nil
}
