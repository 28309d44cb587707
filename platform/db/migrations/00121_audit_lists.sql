-- The records of reads that show several records. A read has one event, and its event names the list of its records.

-- +goose Up
-- A list is stored once a day, however often it is read. An event names it by subject_id, and by the SHA-256 in
-- after -> 'list', which the hash chain covers.
CREATE TABLE audit_lists (
    organization_id  uuid    NOT NULL,
    id               uuid    NOT NULL, -- the first 16 bytes of the SHA-256 of organization, day and records
    day              date    NOT NULL, -- of the events, in UTC
    size             integer NOT NULL, -- the number of its rows in audit_list_records
    records          text    NOT NULL, -- JSON: type -> patient -> ids; as text, because the hash is computed over it
    PRIMARY KEY (organization_id, id),
    CONSTRAINT audit_lists_size CHECK (size > 0)
);

-- The records and the patients of a list, for the search. The primary key has the search's order.
CREATE TABLE audit_list_records (
    organization_id  uuid    NOT NULL,
    record_id        uuid    NOT NULL,
    as_patient       boolean NOT NULL, -- whether it is the patient of a record, or a record
    day              date    NOT NULL,
    list_id          uuid    NOT NULL,
    PRIMARY KEY (organization_id, record_id, as_patient, day, list_id)
);

-- Lists are only added. A list is removed when its last event was removed, and its rows after it.
-- +postgresql begin
-- +goose StatementBegin
CREATE FUNCTION refuse_change_of_audit_lists() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('omnirapeutic.audit_removal', true) = 'on' THEN
        IF TG_TABLE_NAME = 'audit_lists' THEN
            IF NOT EXISTS (SELECT FROM audit_events e WHERE e.organization_id = OLD.organization_id AND e.subject_id = OLD.id) THEN
                RETURN OLD;
            END IF;
        ELSIF NOT EXISTS (SELECT FROM audit_lists l WHERE l.organization_id = OLD.organization_id AND l.id = OLD.list_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'a list of the audit trail is never changed, and removed only after its events' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_lists_append_only BEFORE UPDATE OR DELETE ON audit_lists
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_lists();
CREATE TRIGGER audit_lists_not_truncated BEFORE TRUNCATE ON audit_lists
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_lists();
CREATE TRIGGER audit_list_records_append_only BEFORE UPDATE OR DELETE ON audit_list_records
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_lists();
CREATE TRIGGER audit_list_records_not_truncated BEFORE TRUNCATE ON audit_list_records
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_lists();
-- +postgresql end

SELECT hold_to_organizations('audit_lists');
SELECT hold_to_organizations('audit_list_records');

-- +goose Down
DROP TABLE audit_list_records;
DROP TABLE audit_lists;
-- +postgresql begin
DROP FUNCTION refuse_change_of_audit_lists();
-- +postgresql end
