-- The sessions of an authorization, for its verification.

-- +goose Up
CREATE INDEX session_patients_by_authorization ON session_patients (authorization_id, organization_id);

-- +goose Down
DROP INDEX session_patients_by_authorization;
