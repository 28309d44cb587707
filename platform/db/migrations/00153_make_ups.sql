-- Reasons of cancellations, and appointments that make up for missed ones.

-- +goose Up
-- The code list of each organization.
CREATE TABLE cancellation_reasons (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    code             text        NOT NULL,
    name             text        NOT NULL,
    party            text        NOT NULL, -- the usual party of cancellations with this reason
    active           boolean     NOT NULL DEFAULT true,
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT cancellation_reasons_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT cancellation_reasons_code_once UNIQUE (organization_id, code),
    CONSTRAINT cancellation_reasons_party CHECK (party IN ('FAMILY', 'STAFF', 'CLINIC', 'PAYER', 'OTHER'))
);

SELECT hold_to_organizations('cancellation_reasons');

ALTER TABLE appointments
    ADD COLUMN cancellation_party text, -- null: not given
    ADD COLUMN cancellation_reason_id uuid,
    ADD COLUMN make_up_for uuid, -- the missed appointment
    ADD COLUMN exceeds_missed_time boolean NOT NULL DEFAULT false, -- accepted at the booking
    ADD CONSTRAINT appointments_cancellation_party CHECK (
        cancellation_party IN ('FAMILY', 'STAFF', 'CLINIC', 'PAYER', 'OTHER')),
    ADD CONSTRAINT appointments_cancellation_reason FOREIGN KEY (organization_id, cancellation_reason_id)
        REFERENCES cancellation_reasons (organization_id, id),
    ADD CONSTRAINT appointments_make_up_for FOREIGN KEY (organization_id, make_up_for)
        REFERENCES appointments (organization_id, id);

CREATE INDEX appointments_by_missed ON appointments (organization_id, make_up_for) WHERE make_up_for IS NOT NULL;

-- +goose Down
DROP INDEX appointments_by_missed;
ALTER TABLE appointments
    DROP COLUMN exceeds_missed_time, DROP COLUMN make_up_for, DROP COLUMN cancellation_reason_id,
    DROP COLUMN cancellation_party;
DROP TABLE cancellation_reasons;
