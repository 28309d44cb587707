-- One table of executed commands replaces three: every request that changes something has its row here.

-- +goose Up
CREATE TABLE commands (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL, -- the same for all requests of a user with the same Idempotency-Key
    call_id          uuid        NOT NULL, -- distinguishes the request from others with the same id
    kind             text        NOT NULL,
    fingerprint      bytea       NOT NULL, -- a hash of the request
    answer           json, -- for repeated requests; null: there is none
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);

-- For the removal of old rows.
CREATE INDEX commands_by_age ON commands (created_at);

SELECT hold_to_organizations('commands');

DROP TABLE unit_operations;
DROP TABLE appointment_operations;
DROP TABLE idempotency_keys;

-- Always empty: a transaction that changes units locks it before its snapshot is taken, and so waits for others.
ALTER TABLE unit_lane RENAME TO write_lock;

-- Older programs use the removed tables.
UPDATE schema_compatibility SET oldest_program = 55;

-- +goose Down
UPDATE schema_compatibility SET oldest_program = 53;

ALTER TABLE write_lock RENAME TO unit_lane;

CREATE TABLE idempotency_keys (
    organization_id  uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    key              text        NOT NULL,
    call             uuid        NOT NULL,
    fingerprint      bytea       NOT NULL,
    status           integer     NOT NULL,
    headers          jsonb,
    body             bytea,
    refusal          jsonb,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
SELECT hold_to_organizations('idempotency_keys');

CREATE TABLE appointment_operations (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    kind             text        NOT NULL,
    fingerprint      bytea       NOT NULL,
    outcome          json        NOT NULL,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX appointment_operations_by_age ON appointment_operations (created_at);
SELECT hold_to_organizations('appointment_operations');

CREATE TABLE unit_operations (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    kind             text        NOT NULL,
    fingerprint      bytea       NOT NULL,
    outcome          json        NOT NULL,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX unit_operations_by_age ON unit_operations (created_at);
SELECT hold_to_organizations('unit_operations');

DROP TABLE commands;
