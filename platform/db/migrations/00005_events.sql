-- What has happened, for those who listen: an outbox that changes write to in their own transaction, the numbered
-- streams that a relay makes of it, and webhooks.

-- +goose Up
-- No foreign key: the row is written by the hottest transactions that there are, always beside rows that have one.
CREATE TABLE outbox (
    organization_id  uuid        NOT NULL,
    sequence         bigint      GENERATED ALWAYS AS IDENTITY,
    type             text        NOT NULL,
    subject_id       uuid        NOT NULL,
    permission       text        NOT NULL, -- what a reader must hold
    payload          jsonb       NOT NULL,
    occurred_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, sequence)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000); -- rows live for milliseconds

-- Whoever appends to an organization's stream holds its row.
CREATE TABLE event_streams (
    organization_id  uuid    NOT NULL,
    last_position    bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (organization_id),
    CONSTRAINT event_streams_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
) WITH (fillfactor = 50);

CREATE TABLE events (
    organization_id  uuid        NOT NULL,
    position         bigint      NOT NULL, -- 1, 2, 3, … without a gap
    type             text        NOT NULL,
    subject_id       uuid        NOT NULL,
    permission       text        NOT NULL,
    payload          jsonb       NOT NULL,
    occurred_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, position)
);

CREATE TABLE webhooks (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    url              text        NOT NULL,
    secret           bytea       NOT NULL, -- signs what is sent; it cannot be a hash, since we need it ourselves
    types            text[]      NOT NULL, -- of the events that are sent; empty: all
    active           boolean     NOT NULL DEFAULT true,
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT webhooks_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- One event on its way to one webhook. It goes when its event does.
CREATE TABLE webhook_deliveries (
    organization_id  uuid        NOT NULL,
    webhook_id       uuid        NOT NULL,
    position         bigint      NOT NULL,
    state            text        NOT NULL DEFAULT 'PENDING',
    attempts         integer     NOT NULL DEFAULT 0,
    -- While an attempt is under way this is when it counts as lost: nobody else takes the row before.
    next_attempt_at  timestamptz NOT NULL,
    last_attempt_at  timestamptz,
    last_status      integer,
    last_error       text,
    PRIMARY KEY (organization_id, webhook_id, position),
    CONSTRAINT webhook_deliveries_webhook FOREIGN KEY (organization_id, webhook_id)
        REFERENCES webhooks (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT webhook_deliveries_event FOREIGN KEY (organization_id, position)
        REFERENCES events (organization_id, position) ON DELETE CASCADE,
    CONSTRAINT webhook_deliveries_state CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD'))
) WITH (fillfactor = 80);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (organization_id, webhook_id, next_attempt_at)
    WHERE state = 'PENDING';
-- For the removal of old events.
CREATE INDEX webhook_deliveries_by_event ON webhook_deliveries (organization_id, position);

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
DROP TABLE events;
DROP TABLE event_streams;
DROP TABLE outbox;
