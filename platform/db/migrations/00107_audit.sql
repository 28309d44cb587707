-- The audit trail: events, and the hash chains over them.

-- +goose Up
-- There are no foreign keys: events outlive their subjects, some belong to no organization (all zeros), and the busiest
-- transactions write this table.
CREATE TABLE audit_events (
    organization_id  uuid        NOT NULL,
    sequence         bigint      GENERATED ALWAYS AS IDENTITY,
    occurred_at      timestamptz NOT NULL,
    actor_id         uuid, -- null: not signed in
    request_id       text        NOT NULL,
    action           text        NOT NULL,
    outcome          text        NOT NULL,
    subject_type     text        NOT NULL,
    subject_id       uuid,
    patient_id       uuid,
    address          text        NOT NULL,
    grant_id         uuid,
    before           text, -- JSON; as text, because the hash is computed over it
    after            text,
    -- The order of the search.
    PRIMARY KEY (organization_id, occurred_at, sequence),
    CONSTRAINT audit_events_outcome CHECK (outcome IN ('done', 'denied'))
);

-- The filters of the search.
CREATE INDEX audit_events_by_actor ON audit_events (organization_id, actor_id, occurred_at, sequence);
CREATE INDEX audit_events_by_patient
    ON audit_events (organization_id, patient_id, occurred_at, sequence)
    WHERE patient_id IS NOT NULL;
CREATE INDEX audit_events_by_subject
    ON audit_events (organization_id, subject_id, occurred_at, sequence)
    WHERE subject_id IS NOT NULL;

-- Events without a seal: one row for all events of an organization that one statement has recorded. Rows live for
-- milliseconds.
CREATE TABLE audit_unsealed (
    organization_id  uuid          NOT NULL,
    sequence         bigint        NOT NULL, -- the lowest of sequences
    times            timestamptz[] NOT NULL, -- of the events
    recorded_at      timestamptz   NOT NULL DEFAULT now(), -- by the database's clock
    sequences        bigint[]      NOT NULL, -- of the same events
    PRIMARY KEY (organization_id, sequence),
    CONSTRAINT audit_unsealed_pairs CHECK (cardinality(sequences) > 0 AND cardinality(sequences) = cardinality(times))
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- A transaction that extends an organization's chain locks its row.
CREATE TABLE audit_chains (
    organization_id  uuid   NOT NULL,
    last_position    bigint NOT NULL DEFAULT 0,
    last_hash        bytea, -- null: nothing is sealed yet
    PRIMARY KEY (organization_id),
    CONSTRAINT audit_chains_hash CHECK ((last_position = 0) = (last_hash IS NULL) AND length(last_hash) = 32)
) WITH (fillfactor = 50);

CREATE TABLE audit_seals (
    organization_id  uuid        NOT NULL,
    position         bigint      NOT NULL, -- 1, 2, 3, … without a gap
    occurred_at      timestamptz NOT NULL, -- with the sequence, the key of the event
    sequence         bigint      NOT NULL,
    hash             bytea       NOT NULL, -- of the event and the hash of the previous position
    sealed_at        timestamptz NOT NULL,
    PRIMARY KEY (organization_id, position),
    CONSTRAINT audit_seals_once UNIQUE (organization_id, sequence),
    CONSTRAINT audit_seals_hash CHECK (length(hash) = 32)
);

-- The start of a chain whose oldest events were removed, up to the position.
CREATE TABLE audit_checkpoints (
    organization_id  uuid        NOT NULL,
    position         bigint      NOT NULL,
    hash             bytea       NOT NULL, -- of the seal at the position
    removed          bigint      NOT NULL, -- events since the previous checkpoint
    removed_by       text        NOT NULL,
    removed_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, position)
);

-- Events, seals and checkpoints are only added. The program's role lacks the privilege to change them, and these
-- triggers bind the owner of the tables too. The one exception is the removal of old events: its transaction announces it
-- (SET LOCAL omnirapeutic.audit_removal = 'on'), and it ends at a checkpoint that was written before.
-- +postgresql begin
-- +goose StatementBegin
CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    reached bigint;
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('omnirapeutic.audit_removal', true) = 'on' THEN
        IF TG_TABLE_NAME = 'audit_events' THEN
            SELECT s.position INTO reached FROM audit_seals s
            WHERE s.organization_id = OLD.organization_id AND s.sequence = OLD.sequence;
        ELSIF TG_TABLE_NAME = 'audit_seals' THEN
            reached := OLD.position;
        END IF;
        IF EXISTS (SELECT FROM audit_checkpoints c WHERE c.organization_id = OLD.organization_id AND c.position >= reached) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit trail is never changed, and removed only up to a checkpoint' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
-- +postgresql end

-- A checkpoint repeats the hash of a seal, after the previous checkpoint.
-- +postgresql begin
-- +goose StatementBegin
CREATE FUNCTION check_audit_checkpoint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM audit_seals s
        WHERE s.organization_id = NEW.organization_id AND s.position = NEW.position AND s.hash = NEW.hash
    ) OR EXISTS (
        SELECT FROM audit_checkpoints c WHERE c.organization_id = NEW.organization_id AND c.position >= NEW.position
    ) THEN
        RAISE EXCEPTION 'a checkpoint must repeat the hash of a seal after the previous checkpoint' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit();
CREATE TRIGGER audit_events_not_truncated BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit();
CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit();
CREATE TRIGGER audit_seals_not_truncated BEFORE TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit();
CREATE TRIGGER audit_checkpoints_append_only BEFORE UPDATE OR DELETE ON audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit();
CREATE TRIGGER audit_checkpoints_not_truncated BEFORE TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit();
CREATE TRIGGER audit_checkpoints_true BEFORE INSERT ON audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION check_audit_checkpoint();
-- +postgresql end

-- The number of entered lines of each queue file on an instance's disk. A row outlives its file, because the file could
-- come back with a restored disk.
CREATE TABLE audit_spools (
    id      uuid   NOT NULL,
    events  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    CONSTRAINT audit_spools_events_check CHECK (events >= 0)
);

-- Refused attempts of callers without an organization, counted by network and minute. The audit trail does not store
-- them, because every stranger can make them.
CREATE TABLE anonymous_attempts (
    minute    timestamptz NOT NULL, -- its start
    source    text        NOT NULL, -- network address, /64 for IPv6; 'other' for all beyond a limit
    action    text        NOT NULL, -- as in the audit trail
    reason    text        NOT NULL,
    attempts  bigint      NOT NULL,
    last_at   timestamptz NOT NULL,
    -- The order of the list and of the removal.
    PRIMARY KEY (minute, source, action, reason),
    CONSTRAINT anonymous_attempts_positive CHECK (attempts > 0)
);

SELECT hold_to_organizations('audit_events');
SELECT hold_to_organizations('audit_unsealed');
SELECT hold_to_organizations('audit_chains');
SELECT hold_to_organizations('audit_seals');
SELECT hold_to_organizations('audit_checkpoints');

-- +goose Down
DROP TABLE anonymous_attempts;
DROP TABLE audit_spools;
DROP TABLE audit_checkpoints;
DROP TABLE audit_seals;
DROP TABLE audit_chains;
DROP TABLE audit_unsealed;
DROP TABLE audit_events;
-- +postgresql begin
DROP FUNCTION check_audit_checkpoint();
DROP FUNCTION refuse_change_of_audit();
-- +postgresql end
