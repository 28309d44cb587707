-- Events of archives that an operator has restored for the search. They are copies: the trail itself does not contain
-- them any more, and its verification does not read them.

-- +goose Up
CREATE TABLE audit_restored_events (
    organization_id  uuid        NOT NULL,
    sequence         bigint      NOT NULL,
    occurred_at      timestamptz NOT NULL,
    actor_id         uuid,
    request_id       text        NOT NULL,
    action           text        NOT NULL,
    outcome          text        NOT NULL,
    subject_type     text        NOT NULL,
    subject_id       uuid,
    patient_id       uuid,
    address          text        NOT NULL,
    grant_id         uuid,
    before           text, -- JSON
    after            text,
    position         bigint      NOT NULL, -- of the seal
    hash             bytea       NOT NULL,
    archive          bytea       NOT NULL, -- SHA-256 in the manifest of the archive
    PRIMARY KEY (organization_id, occurred_at, sequence)
);

-- The filters of the search, as for audit_events.
CREATE INDEX audit_restored_events_by_actor
    ON audit_restored_events (organization_id, actor_id, occurred_at, sequence);
CREATE INDEX audit_restored_events_by_patient
    ON audit_restored_events (organization_id, patient_id, occurred_at, sequence)
    WHERE patient_id IS NOT NULL;
CREATE INDEX audit_restored_events_by_subject
    ON audit_restored_events (organization_id, subject_id, occurred_at, sequence)
    WHERE subject_id IS NOT NULL;

SELECT hold_to_organizations('audit_restored_events');

-- +goose Down
DROP TABLE audit_restored_events;
