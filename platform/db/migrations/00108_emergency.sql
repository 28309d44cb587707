-- Emergency grants: temporary access to one patient's records, with a reason and a review.

-- +goose Up
CREATE TABLE emergency_grants (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    patient_id       uuid        NOT NULL,
    reason           text        NOT NULL,
    granted_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    revoked_at       timestamptz,
    revoked_by       uuid,
    reviewed_at      timestamptz,
    reviewed_by      uuid,
    justified        boolean,
    review_note      text,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT emergency_grants_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    CONSTRAINT emergency_grants_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id),
    CONSTRAINT emergency_grants_reason CHECK (char_length(reason) BETWEEN 25 AND 500),
    CONSTRAINT emergency_grants_duration CHECK (
        expires_at - granted_at BETWEEN interval '30 minutes' AND interval '480 minutes'),
    CONSTRAINT emergency_grants_revoked CHECK (
        (revoked_at IS NULL) = (revoked_by IS NULL) AND revoked_at <= expires_at),
    CONSTRAINT emergency_grants_reviewed CHECK (
         num_nonnulls(reviewed_at, reviewed_by, justified) IN (0, 3) AND (reviewed_at IS NOT NULL OR review_note IS NULL)),
    CONSTRAINT emergency_grants_by_somebody_else CHECK (reviewed_by <> user_id)
);

-- The worklist of reviewers.
CREATE INDEX emergency_grants_unreviewed ON emergency_grants (organization_id, id) WHERE reviewed_at IS NULL;

-- A grant is never deleted. It ends once and is reviewed once; nothing else of it changes.
-- +postgresql begin
-- +goose StatementBegin
CREATE FUNCTION refuse_change_of_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE'
        AND (OLD.organization_id, OLD.id, OLD.user_id, OLD.patient_id, OLD.reason, OLD.granted_at, OLD.expires_at)
            = (NEW.organization_id, NEW.id, NEW.user_id, NEW.patient_id, NEW.reason, NEW.granted_at, NEW.expires_at)
        AND (OLD.revoked_at IS NULL OR (OLD.revoked_at, OLD.revoked_by) = (NEW.revoked_at, NEW.revoked_by))
        AND (OLD.reviewed_at IS NULL OR (OLD.reviewed_at, OLD.reviewed_by, OLD.justified) = (NEW.reviewed_at, NEW.reviewed_by, NEW.justified)
            AND OLD.review_note IS NOT DISTINCT FROM NEW.review_note)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an emergency grant stays on record' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER emergency_grants_stay BEFORE UPDATE OR DELETE ON emergency_grants
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_grant();
CREATE TRIGGER emergency_grants_not_truncated BEFORE TRUNCATE ON emergency_grants
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_grant();
-- +postgresql end

SELECT hold_to_organizations('emergency_grants');

-- +goose Down
DROP TABLE emergency_grants;
-- +postgresql begin
DROP FUNCTION refuse_change_of_grant();
-- +postgresql end
