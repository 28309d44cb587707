-- How far each audit trail was sent to other systems.

-- +goose Up
CREATE TABLE audit_export_positions (
    organization_id  uuid        NOT NULL,
    destination      text        NOT NULL, -- its URL without credentials and parameters
    position         bigint      NOT NULL, -- the last event that the destination has acknowledged
    sent_at          timestamptz NOT NULL,
    PRIMARY KEY (organization_id, destination),
    CONSTRAINT audit_export_positions_position CHECK (position > 0)
) WITH (fillfactor = 50);

SELECT hold_to_organizations('audit_export_positions');

-- +goose Down
DROP TABLE audit_export_positions;
