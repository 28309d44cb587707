-- Time of practitioners without patients, such as meetings and drives.

-- +goose Up
CREATE TABLE calendar_entries (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    kind             text        NOT NULL,
    title            text,
    starts_at        timestamptz NOT NULL,
    ends_at          timestamptz NOT NULL,
    location_id      uuid, -- of a drive: its destination
    miles            double precision, -- of a drive
    created_by       uuid        NOT NULL,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT calendar_entries_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT calendar_entries_location FOREIGN KEY (organization_id, location_id)
        REFERENCES locations (organization_id, id),
    CONSTRAINT calendar_entries_kind CHECK (
        kind IN ('MEETING', 'TRAINING', 'DRIVE', 'DOCUMENTATION', 'LUNCH', 'OTHER')),
    CONSTRAINT calendar_entries_miles CHECK (miles >= 0 AND (miles IS NULL OR kind = 'DRIVE')),
    CONSTRAINT calendar_entries_times_in_order CHECK (starts_at < ends_at AND ends_at <= starts_at + interval '24 hours')
);

CREATE INDEX calendar_entries_by_start ON calendar_entries (organization_id, starts_at);

-- Kind and times are repeated here, because bookings look them up by practitioner.
CREATE TABLE calendar_entry_practitioners (
    organization_id  uuid        NOT NULL,
    entry_id         uuid        NOT NULL,
    position         integer     NOT NULL,
    practitioner_id  uuid        NOT NULL,
    kind             text        NOT NULL,
    starts_at        timestamptz NOT NULL,
    ends_at          timestamptz NOT NULL,
    PRIMARY KEY (organization_id, entry_id, position),
    CONSTRAINT calendar_entry_practitioners_entry FOREIGN KEY (organization_id, entry_id)
        REFERENCES calendar_entries (organization_id, id),
    CONSTRAINT calendar_entry_practitioners_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id)
);

CREATE INDEX calendar_entry_practitioners_by_start
    ON calendar_entry_practitioners (organization_id, practitioner_id, starts_at);

SELECT hold_to_organizations('calendar_entries');
SELECT hold_to_organizations('calendar_entry_practitioners');

-- +goose Down
DROP TABLE calendar_entry_practitioners;
DROP TABLE calendar_entries;
