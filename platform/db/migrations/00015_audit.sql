-- Who did and who read what: events that transactions add blindly, and the chain that a sealer makes of them.

-- +goose Up
-- No foreign keys: events outlive what they tell of, some are of no organization (all zeros), and the hottest
-- transactions that there are write them.
CREATE TABLE audit_events (
    organization_id  uuid        NOT NULL,
    sequence         bigint      GENERATED ALWAYS AS IDENTITY,
    occurred_at      timestamptz NOT NULL,
    actor_id         uuid, -- none: somebody who is not signed in
    request_id       text        NOT NULL,
    action           text        NOT NULL,
    outcome          text        NOT NULL,
    subject_type     text        NOT NULL,
    subject_id       uuid,
    patient_id       uuid,
    address          text        NOT NULL,
    grant_id         uuid,
    before           json, -- json keeps the text as it was written, which the hash is of
    after            json,
    -- The order of the search, newest first.
    PRIMARY KEY (organization_id, occurred_at, sequence),
    CONSTRAINT audit_events_outcome CHECK (outcome IN ('done', 'denied'))
);

-- What the search is narrowed to.
CREATE INDEX audit_events_by_actor ON audit_events (organization_id, actor_id, occurred_at, sequence);
CREATE INDEX audit_events_by_patient ON audit_events (organization_id, patient_id, occurred_at, sequence)
    WHERE patient_id IS NOT NULL;
CREATE INDEX audit_events_by_subject ON audit_events (organization_id, subject_id, occurred_at, sequence)
    WHERE subject_id IS NOT NULL;

-- What has no seal yet. Rows live for milliseconds.
CREATE TABLE audit_unsealed (
    organization_id  uuid        NOT NULL,
    sequence         bigint      NOT NULL,
    occurred_at      timestamptz NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT now(), -- by the database's clock: how long it waits is watched
    PRIMARY KEY (organization_id, sequence)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Whoever adds to an organization's chain holds its row.
CREATE TABLE audit_chains (
    organization_id  uuid    NOT NULL,
    last_position    bigint  NOT NULL DEFAULT 0,
    last_hash        bytea, -- none: nothing was sealed yet
    PRIMARY KEY (organization_id),
    CONSTRAINT audit_chains_hash CHECK ((last_position = 0) = (last_hash IS NULL) AND length(last_hash) = 32)
) WITH (fillfactor = 50);

CREATE TABLE audit_seals (
    organization_id  uuid        NOT NULL,
    position         bigint      NOT NULL, -- 1, 2, 3, … without a gap
    occurred_at      timestamptz NOT NULL, -- this and the sequence name the event
    sequence         bigint      NOT NULL,
    hash             bytea       NOT NULL, -- of the event, after the hash of the position before
    sealed_at        timestamptz NOT NULL,
    PRIMARY KEY (organization_id, position),
    CONSTRAINT audit_seals_once UNIQUE (organization_id, sequence),
    CONSTRAINT audit_seals_hash CHECK (length(hash) = 32)
);

-- Where a chain begins whose oldest events were removed: all up to the position.
CREATE TABLE audit_checkpoints (
    organization_id  uuid        NOT NULL,
    position         bigint      NOT NULL,
    hash             bytea       NOT NULL, -- of the seal at the position
    removed          bigint      NOT NULL, -- events, since the checkpoint before
    removed_by       text        NOT NULL,
    removed_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, position)
);

-- Events, seals and checkpoints are only ever added. This binds the tables' owner too; the program's role lacks the
-- privilege besides. The one exception is removal by the retention: it is announced in its transaction
-- (SET LOCAL omnirapeutic.audit_removal = 'on') and reaches no further than a checkpoint that was written before.
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

-- A checkpoint stands for the chain that was there: it repeats the hash of a seal, and lies behind the one before.
CREATE FUNCTION check_audit_checkpoint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM audit_seals s
        WHERE s.organization_id = NEW.organization_id AND s.position = NEW.position AND s.hash = NEW.hash
    ) OR EXISTS (
        SELECT FROM audit_checkpoints c WHERE c.organization_id = NEW.organization_id AND c.position >= NEW.position
    ) THEN
        RAISE EXCEPTION 'a checkpoint repeats the hash of a seal behind the checkpoint before' USING ERRCODE = 'restrict_violation';
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

-- +goose Down
DROP TABLE audit_checkpoints;
DROP TABLE audit_seals;
DROP TABLE audit_chains;
DROP TABLE audit_unsealed;
DROP TABLE audit_events;
DROP FUNCTION check_audit_checkpoint();
DROP FUNCTION refuse_change_of_audit();
