-- Claims of supervised practitioners, and an index for replaced claims.

-- +goose Up
-- The credentials whose holders the payer pays, or the service allows, only under supervision.
ALTER TABLE payers ADD COLUMN supervised_credentials jsonb NOT NULL DEFAULT '[]';
ALTER TABLE service_codes ADD COLUMN supervised_credentials jsonb NOT NULL DEFAULT '[]';

CREATE INDEX billing_claims_by_replaced ON billing_claims (organization_id, replaces_id)
    WHERE replaces_id IS NOT NULL;

-- +goose Down
DROP INDEX billing_claims_by_replaced;
ALTER TABLE service_codes DROP COLUMN supervised_credentials;
ALTER TABLE payers DROP COLUMN supervised_credentials;
