-- Notes of sessions with sections, their signatures, and the requirements of service codes for them.

-- +goose Up
ALTER TABLE service_codes ADD COLUMN note jsonb; -- the requirements for notes; null: no note is required

ALTER TABLE sessions
    ADD COLUMN note_sections jsonb, -- texts by the name of the section; the text without a name is the narrative
    ADD COLUMN note_version integer NOT NULL DEFAULT 1,
    ADD COLUMN note_changed_at timestamptz, -- null: the note is as the session was completed
    ADD COLUMN note_changed_by uuid;

-- Signatures. A signature counts for the version of the session and the text that it names.
CREATE TABLE session_signatures (
    organization_id  uuid        NOT NULL,
    session_id       uuid        NOT NULL,
    id               uuid        NOT NULL,
    role             text        NOT NULL,
    session_version  integer     NOT NULL,
    text_hash        bytea       NOT NULL, -- SHA-256 of the note
    signed_by        uuid        NOT NULL, -- the user on whose device it was signed
    practitioner_id  uuid, -- of that user; null: a caregiver signed
    name             text, -- of a caregiver
    mark             text, -- of a caregiver: typed, or a drawing as a data URL
    address          text        NOT NULL, -- the client's IP address
    signed_at        timestamptz NOT NULL,
    PRIMARY KEY (organization_id, session_id, id),
    CONSTRAINT session_signatures_session FOREIGN KEY (organization_id, session_id)
        REFERENCES sessions (organization_id, id),
    CONSTRAINT session_signatures_role CHECK (role IN ('TECHNICIAN', 'SUPERVISOR', 'CAREGIVER')),
    CONSTRAINT session_signatures_person CHECK (
        (role = 'CAREGIVER') = (name IS NOT NULL AND mark IS NOT NULL) AND (role = 'CAREGIVER') = (practitioner_id IS NULL)),
    CONSTRAINT session_signatures_hash CHECK (length(text_hash) = 32)
);

-- The notes as they were signed.
CREATE TABLE session_signed_notes (
    organization_id  uuid  NOT NULL,
    session_id       uuid  NOT NULL,
    text_hash        bytea NOT NULL,
    narrative        text,
    note_sections    jsonb,
    PRIMARY KEY (organization_id, session_id, text_hash),
    CONSTRAINT session_signed_notes_session FOREIGN KEY (organization_id, session_id)
        REFERENCES sessions (organization_id, id)
);

-- +postgresql begin
-- +goose StatementBegin
CREATE FUNCTION refuse_change_of_signatures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'signatures and signed notes are never changed or deleted' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER session_signatures_append_only BEFORE UPDATE OR DELETE ON session_signatures
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_signatures();
CREATE TRIGGER session_signed_notes_append_only BEFORE UPDATE OR DELETE ON session_signed_notes
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_signatures();
-- +postgresql end

SELECT hold_to_organizations('session_signatures');
SELECT hold_to_organizations('session_signed_notes');

-- +goose Down
DROP TABLE session_signed_notes;
DROP TABLE session_signatures;
-- +postgresql begin
DROP FUNCTION refuse_change_of_signatures();
-- +postgresql end
ALTER TABLE sessions
    DROP COLUMN note_changed_by,
    DROP COLUMN note_changed_at,
    DROP COLUMN note_version,
    DROP COLUMN note_sections;
ALTER TABLE service_codes DROP COLUMN note;
