-- Series: what appointments have in common that were booked by one recurrence rule.

-- +goose Up
CREATE TABLE appointment_series (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    recurrence_rule  text        NOT NULL,
    created_by       uuid        NOT NULL,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT appointment_series_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

ALTER TABLE appointments ADD CONSTRAINT appointments_series FOREIGN KEY (organization_id, series_id)
    REFERENCES appointment_series (organization_id, id);

CREATE INDEX appointments_by_series ON appointments (organization_id, series_id) WHERE series_id IS NOT NULL;

-- +goose Down
DROP INDEX appointments_by_series;
ALTER TABLE appointments DROP CONSTRAINT appointments_series;
DROP TABLE appointment_series;
