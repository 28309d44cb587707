package billing

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// ofClaims joins claims with their exports.
const ofClaims = `
	FROM billing_claims c
	JOIN billing_exports e ON e.organization_id = c.organization_id AND e.id = c.export_id
	WHERE c.organization_id = $1 AND `

// claimsReading reads claims with their lines, in one round trip.
type claimsReading struct {
	queries []db.Query
	rows    []claimRow
	lines   []lineRow
}

// claimsOf returns a reading of the claims with a line on the service dates or of the sessions, with all
// their lines, oldest first. Indexes: billing_lines_by_date, billing_lines_by_session, the primary keys.
func (store) claimsOf(ctx context.Context, from, to calendar.Date, sessions []uuid.UUID) (*claimsReading, error) {
	return readClaims(ctx, `c.id IN (
		SELECT l.claim_id FROM billing_lines l WHERE l.organization_id = $1 AND l.service_date BETWEEN $2::date AND $3::date
		UNION
		SELECT l.claim_id FROM billing_lines l WHERE l.organization_id = $1 AND l.session_id = ANY ($4::uuid[]))`,
		from, to, db.UUIDs(sessions))
}

// claims returns a reading of the claims of an export in their order. Index: billing_claims_by_export.
func (store) claims(ctx context.Context, export uuid.UUID) (*claimsReading, error) {
	return readClaims(ctx, "c.export_id = $2", export)
}

// claim returns a claim. Index: the primary key.
func (store) claim(ctx context.Context, id uuid.UUID) (Claim, error) {
	r, err := readClaims(ctx, "c.id = $2", id)
	if err != nil {
		return Claim{}, err
	}
	if err := db.ReadAll(ctx, r.queries...); err != nil {
		return Claim{}, err
	}
	if len(r.rows) == 0 {
		return Claim{}, ErrClaimNotFound
	}
	return r.claims()[0], nil
}

// readClaims returns a reading of the claims that match the condition, with their lines. OFFSET 0 makes the
// lines of each claim an index look-up. Index: billing_lines_by_claim.
func readClaims(ctx context.Context, condition string, arguments ...any) (*claimsReading, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	r := &claimsReading{}
	arguments = append([]any{organization}, arguments...)
	r.queries = []db.Query{
		db.Into(&r.rows, "SELECT c.*, e.retracted_at IS NOT NULL AS retracted"+ofClaims+condition+
			" ORDER BY e.number, c.position", arguments...),
		db.Into(&r.lines, "SELECT l.* FROM (SELECT c.id"+ofClaims+condition+`) k CROSS JOIN LATERAL (
			SELECT * FROM billing_lines t WHERE t.organization_id = $1 AND t.claim_id = k.id OFFSET 0) l
			ORDER BY l.position`, arguments...),
	}
	return r, nil
}

// claims returns the claims that were read.
func (r *claimsReading) claims() []Claim {
	claims, at := make([]Claim, len(r.rows)), make(map[uuid.UUID]*Claim, len(r.rows))
	for i, row := range r.rows {
		claims[i] = row.Claim
		claims[i].Retracted = row.Retracted
		at[row.ID] = &claims[i]
	}
	for _, l := range r.lines {
		c := at[l.ClaimID]
		c.Lines = append(c.Lines, l.in(*c))
	}
	return claims
}

// setControlNumber writes the payer's number of a claim. Index: the primary key.
func (store) setControlNumber(ctx context.Context, claim uuid.UUID, number string) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	result := tx.Model(&claimRow{}).Where("id = ?", claim).UpdateColumn("control_number", number)
	if result.Error == nil && result.RowsAffected == 0 {
		return ErrClaimNotFound
	}
	return result.Error
}

// isReplaced reports whether an export that is not retracted has replaced a claim of the export.
// Indexes: billing_claims_by_export, the primary keys.
func (store) isReplaced(ctx context.Context, export uuid.UUID) (replaced bool, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return false, err
	}
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	err = tx.Raw(`
		SELECT EXISTS (
			SELECT 1 FROM billing_claims c
			JOIN billing_claims n ON n.organization_id = c.organization_id AND n.replaces_id = c.id
			JOIN billing_exports e ON e.organization_id = n.organization_id AND e.id = n.export_id
			WHERE c.organization_id = $1 AND c.export_id = $2 AND e.retracted_at IS NULL)`,
		organization, export).Scan(&replaced).Error
	return replaced, err
}

// onlyIn returns the sessions of an export that no other export has, except retracted ones. Indexes:
// billing_claims_by_export, billing_lines_by_claim, billing_lines_by_session.
func (store) onlyIn(ctx context.Context, export uuid.UUID) (sessions []uuid.UUID, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Raw(`
		SELECT DISTINCT l.session_id FROM billing_claims c
		JOIN billing_lines l ON l.organization_id = c.organization_id AND l.claim_id = c.id
		WHERE c.organization_id = $1 AND c.export_id = $2 AND NOT EXISTS (
			SELECT 1 FROM billing_lines o
			JOIN billing_claims oc ON oc.organization_id = o.organization_id AND oc.id = o.claim_id
			JOIN billing_exports e ON e.organization_id = oc.organization_id AND e.id = oc.export_id
			WHERE o.organization_id = l.organization_id AND o.session_id = l.session_id AND oc.export_id <> $2
				AND e.retracted_at IS NULL)`, organization, export).Scan(&sessions).Error
	return sessions, err
}
