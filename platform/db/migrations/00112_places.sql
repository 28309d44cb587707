-- Locations of organizations, and the place, the supervising practitioner and the time zone of appointments and sessions.

-- +goose Up
CREATE TABLE locations (
    organization_id      uuid        NOT NULL,
    id                   uuid        NOT NULL,
    name                 text        NOT NULL,
    kind                 text        NOT NULL,
    place_of_service     text        NOT NULL, -- the usual code of services there
    time_zone            text, -- an IANA name; null: the organization's
    address_line1        text        NOT NULL DEFAULT '',
    address_line2        text,
    address_city         text        NOT NULL DEFAULT '',
    address_state        text        NOT NULL DEFAULT '',
    address_postal_code  text        NOT NULL DEFAULT '',
    latitude             double precision,
    longitude            double precision,
    active               boolean     NOT NULL DEFAULT true,
    version              integer     NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT locations_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT locations_kind CHECK (kind IN ('HOME', 'CLINIC', 'SCHOOL', 'TELEHEALTH')),
    CONSTRAINT locations_coordinates_in_range CHECK (
        latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180),
    CONSTRAINT locations_coordinates_complete CHECK ((latitude IS NULL) = (longitude IS NULL))
);

SELECT hold_to_organizations('locations');

-- The time zone is copied from the location, so that service dates can be computed again. Null: the organization's.
ALTER TABLE appointments
    ADD COLUMN place_of_service text,
    ADD COLUMN location_id uuid,
    ADD COLUMN supervising_practitioner_id uuid,
    ADD COLUMN time_zone text,
    ADD COLUMN given_modifiers text, -- null: by the payers' rules
    ADD CONSTRAINT appointments_location FOREIGN KEY (organization_id, location_id)
        REFERENCES locations (organization_id, id),
    ADD CONSTRAINT appointments_supervising_practitioner FOREIGN KEY (organization_id, supervising_practitioner_id)
        REFERENCES practitioners (organization_id, id);
ALTER TABLE appointment_patients ADD COLUMN time_zone text;
ALTER TABLE sessions
    ADD COLUMN place_of_service text,
    ADD COLUMN location_id uuid,
    ADD COLUMN supervising_practitioner_id uuid,
    ADD COLUMN time_zone text,
    ADD COLUMN given_modifiers text,
    ADD CONSTRAINT sessions_location FOREIGN KEY (organization_id, location_id)
        REFERENCES locations (organization_id, id),
    ADD CONSTRAINT sessions_supervising_practitioner FOREIGN KEY (organization_id, supervising_practitioner_id)
        REFERENCES practitioners (organization_id, id);
ALTER TABLE session_versions
    ADD COLUMN place_of_service text,
    ADD COLUMN location_id uuid,
    ADD COLUMN supervising_practitioner_id uuid,
    ADD COLUMN time_zone text,
    ADD COLUMN given_modifiers text;

-- The modifiers of claim lines, separated by spaces, and the rules of payers that give them.
ALTER TABLE payers ADD COLUMN modifier_rules jsonb NOT NULL DEFAULT '[]';
ALTER TABLE appointment_patients ADD COLUMN modifiers text NOT NULL DEFAULT '';
ALTER TABLE session_patients ADD COLUMN modifiers text NOT NULL DEFAULT '';
ALTER TABLE session_version_patients ADD COLUMN modifiers text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE session_version_patients DROP COLUMN modifiers;
ALTER TABLE session_patients DROP COLUMN modifiers;
ALTER TABLE appointment_patients DROP COLUMN modifiers;
ALTER TABLE payers DROP COLUMN modifier_rules;
ALTER TABLE session_versions
    DROP COLUMN given_modifiers,
    DROP COLUMN time_zone,
    DROP COLUMN supervising_practitioner_id,
    DROP COLUMN location_id,
    DROP COLUMN place_of_service;
ALTER TABLE sessions
    DROP COLUMN given_modifiers,
    DROP COLUMN time_zone,
    DROP COLUMN supervising_practitioner_id,
    DROP COLUMN location_id,
    DROP COLUMN place_of_service;
ALTER TABLE appointment_patients DROP COLUMN time_zone;
ALTER TABLE appointments
    DROP COLUMN given_modifiers,
    DROP COLUMN time_zone,
    DROP COLUMN supervising_practitioner_id,
    DROP COLUMN location_id,
    DROP COLUMN place_of_service;
DROP TABLE locations;
