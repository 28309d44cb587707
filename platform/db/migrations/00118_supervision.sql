-- Claims of supervised practitioners, and an index for replaced claims.

-- +goose Up
-- The credentials whose holders the payer pays, or the service allows, only under supervision.
ALTER TABLE payers ADD COLUMN supervised_credentials jsonb NOT NULL DEFAULT '[]';
-- In a table of its own, because bookings look up service codes and need narrow rows.
CREATE TABLE service_code_supervised_credentials (
    organization_id  uuid NOT NULL,
    service_code_id  uuid NOT NULL,
    credential       text NOT NULL,
    PRIMARY KEY (organization_id, service_code_id, credential),
    CONSTRAINT service_code_supervised_credentials_service_code FOREIGN KEY (organization_id, service_code_id)
        REFERENCES service_codes (organization_id, id)
);
SELECT hold_to_organizations('service_code_supervised_credentials');

CREATE INDEX billing_claims_by_replaced ON billing_claims (organization_id, replaces_id)
    WHERE replaces_id IS NOT NULL;

-- +goose Down
DROP INDEX billing_claims_by_replaced;
DROP TABLE service_code_supervised_credentials;
ALTER TABLE payers DROP COLUMN supervised_credentials;
