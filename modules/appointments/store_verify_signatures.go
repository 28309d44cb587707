package appointments

import (
	"context"
	"strings"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// verifiedSessionsSQL selects the sessions of the authorizations $2 of the organizations $1, each once:
// present ones by the first patient who came, voided ones by the first patient of their last version.
// Indexes: appointment_patients_by_authorization, session_version_patients_by_authorization, the primary
// keys.
const verifiedSessionsSQL = `WITH found AS (
	SELECT k.organization_id, k.id AS authorization_id, a.session_id
	FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
	JOIN appointment_patients p ON p.organization_id = k.organization_id AND p.authorization_id = k.id AND p.occupies
		AND p.position >= 0
	JOIN appointments a ON a.organization_id = p.organization_id AND a.id = p.appointment_id
	WHERE a.session_id IS NOT NULL AND NOT EXISTS (SELECT FROM appointment_patients q
		WHERE q.organization_id = p.organization_id AND q.appointment_id = p.appointment_id AND q.occupies
			AND q.position < p.position)
	UNION ALL
	SELECT k.organization_id, k.id, v.session_id
	FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
	JOIN session_version_patients v ON v.organization_id = k.organization_id AND v.authorization_id = k.id
	JOIN sessions s ON s.organization_id = v.organization_id AND s.id = v.session_id
	WHERE v.position = 0 AND s.voided_at IS NOT NULL AND s.version = v.version + 1)`

// signedTextHashSQL is [NoteText.hash] of the signed text t.
var signedTextHashSQL = strings.ReplaceAll(hashSQL, "sessions.", "t.")

// signaturesToVerify returns the facts about all signatures under sessions of the authorizations.
// Index: the primary keys.
func (store) signaturesToVerify(
	ctx context.Context, authorizations []record.Key,
) (map[record.Key][]signatureFacts, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []signatureFacts
	err = tx.Raw(verifiedSessionsSQL+`
		SELECT found.authorization_id, g.*, g.session_version = sessions.version OR EXISTS (SELECT FROM session_versions v
				WHERE v.organization_id = g.organization_id AND v.session_id = g.session_id
					AND v.version = g.session_version) AS version_exists,
			CASE WHEN t.session_id IS NOT NULL THEN `+signedTextHashSQL+` END AS stored_hash,
			g.session_version >= `+presentSQL+` AS closes_note, `+hashSQL+` AS present_hash
		FROM found
		JOIN session_signatures g ON g.organization_id = found.organization_id AND g.session_id = found.session_id
		JOIN sessions ON sessions.organization_id = found.organization_id AND sessions.id = found.session_id
		LEFT JOIN session_signed_notes t ON t.organization_id = g.organization_id AND t.session_id = g.session_id
			AND t.text_hash = g.text_hash
		ORDER BY found.session_id, g.signed_at, g.id`, db.KeyColumns(authorizations)...).Scan(&rows).Error
	found := make(map[record.Key][]signatureFacts, len(authorizations))
	for _, r := range rows {
		key := record.Of(r.OrganizationID, r.AuthorizationID)
		found[key] = append(found[key], r)
	}
	return found, err
}

// addendaToVerify returns all addenda to sessions of the authorizations. Index: the primary key.
func (store) addendaToVerify(
	ctx context.Context, authorizations []record.Key,
) (map[record.Key][]verifiedAddendum, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []verifiedAddendum
	err = tx.Raw(verifiedSessionsSQL+`
		SELECT found.organization_id, found.authorization_id, found.session_id, d.id, d.text, d.signed_by, d.signed_at, d.hash
		FROM found
		JOIN session_addenda d ON d.organization_id = found.organization_id AND d.session_id = found.session_id
		ORDER BY found.session_id, d.signed_at, d.id`, db.KeyColumns(authorizations)...).Scan(&rows).Error
	found := make(map[record.Key][]verifiedAddendum, len(authorizations))
	for _, r := range rows {
		key := record.Of(r.OrganizationID, r.AuthorizationID)
		found[key] = append(found[key], r)
	}
	return found, err
}
