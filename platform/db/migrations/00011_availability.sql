-- When practitioners can be booked: one row for each of whom something is said, replaced as a whole.

-- +goose Up
CREATE TABLE practitioner_availability (
    organization_id  uuid        NOT NULL,
    practitioner_id  uuid        NOT NULL,
    rules            jsonb       NOT NULL, -- hours of the week, exceptions, buffers: as the API writes them
    version          integer     NOT NULL DEFAULT 1,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, practitioner_id),
    CONSTRAINT practitioner_availability_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id)
);

-- +goose Down
DROP TABLE practitioner_availability;
