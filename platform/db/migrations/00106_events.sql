-- Events of changes: the outbox, numbered streams and webhooks.

-- +goose Up
-- Events of committed changes, until the relay moves them. There is no foreign key, because the busiest transactions
-- write this table, always together with rows that have one.
CREATE TABLE outbox (
    organization_id  uuid        NOT NULL,
    sequence         bigint      GENERATED ALWAYS AS IDENTITY,
    type             text        NOT NULL,
    subject_id       uuid        NOT NULL,
    permission       text        NOT NULL, -- that a reader must hold
    payload          text        NOT NULL, -- JSON
    occurred_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, sequence)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- A transaction that appends to an organization's stream locks its row.
CREATE TABLE event_streams (
    organization_id  uuid   NOT NULL,
    last_position    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (organization_id),
    CONSTRAINT event_streams_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
) WITH (fillfactor = 50);

CREATE TABLE events (
    organization_id  uuid        NOT NULL,
    position         bigint      NOT NULL, -- 1, 2, 3, … without a gap
    type             text        NOT NULL,
    subject_id       uuid        NOT NULL,
    permission       text        NOT NULL,
    payload          text        NOT NULL, -- JSON
    occurred_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, position)
);

CREATE TABLE webhooks (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    url              text        NOT NULL,
    secret           bytea       NOT NULL, -- signs the requests; encrypted
    types            text[]      NOT NULL, -- of the events that are sent; empty: all
    active           boolean     NOT NULL DEFAULT true,
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    answered_by      uuid, -- the user who is responsible for the webhook; null: nothing is sent
    PRIMARY KEY (organization_id, id),
    CONSTRAINT webhooks_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT webhooks_answered_by FOREIGN KEY (organization_id, answered_by) REFERENCES users (organization_id, id)
);

-- The delivery of one event to one webhook. It is deleted with its event.
CREATE TABLE webhook_deliveries (
    organization_id  uuid        NOT NULL,
    webhook_id       uuid        NOT NULL,
    position         bigint      NOT NULL,
    state            text        NOT NULL DEFAULT 'PENDING',
    attempts         integer     NOT NULL DEFAULT 0,
    -- During an attempt: the time at which the attempt counts as lost. No other instance takes the row before.
    next_attempt_at  timestamptz NOT NULL,
    last_attempt_at  timestamptz,
    last_status      integer,
    last_error       text,
    PRIMARY KEY (organization_id, webhook_id, position),
    CONSTRAINT webhook_deliveries_webhook FOREIGN KEY (organization_id, webhook_id)
        REFERENCES webhooks (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT webhook_deliveries_event FOREIGN KEY (organization_id, position)
        REFERENCES events (organization_id, position) ON DELETE CASCADE,
    CONSTRAINT webhook_deliveries_state CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD', 'WITHHELD'))
) WITH (fillfactor = 80);

-- For the removal of old events.
CREATE INDEX webhook_deliveries_by_event ON webhook_deliveries (organization_id, position);
CREATE INDEX webhook_deliveries_due
    ON webhook_deliveries (organization_id, webhook_id, next_attempt_at)
    WHERE state = 'PENDING';

SELECT hold_to_organizations('outbox');
SELECT hold_to_organizations('event_streams');
SELECT hold_to_organizations('events');
SELECT hold_to_organizations('webhooks');
SELECT hold_to_organizations('webhook_deliveries');

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
DROP TABLE events;
DROP TABLE event_streams;
DROP TABLE outbox;
