-- What requests with an Idempotency-Key came to: repeated, they get the same answer and do nothing.

-- +goose Up
CREATE TABLE idempotency_keys (
    organization_id  uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    key              text        NOT NULL,
    call             uuid        NOT NULL, -- tells this request from others with the same key
    fingerprint      bytea       NOT NULL,
    status           integer     NOT NULL, -- 0 where it was refused
    headers          jsonb,
    body             bytea,
    refusal          jsonb,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id, key)
);

-- +goose Down
DROP TABLE idempotency_keys;
