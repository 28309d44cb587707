-- +postgresql
-- The audit trail in partitions by time, so that old months can be dropped. A profile without partitions leaves out
-- this migration and the one before it; every statement of the program works with plain tables too.

-- +goose Up
SET LOCAL lock_timeout = '10s';
LOCK TABLE audit_events, audit_seals IN ACCESS EXCLUSIVE MODE;

-- The partitions of a table with their times, in their order. Times without a limit are infinite.
-- +goose StatementBegin
CREATE FUNCTION partitions_of(root regclass)
    RETURNS TABLE (name regclass, begins_at timestamptz, ends_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT c.oid::regclass,
        coalesce(substring(b.bound FROM $p$FROM \('([^']+)'\)$p$)::timestamptz, '-infinity'),
        coalesce(substring(b.bound FROM $p$TO \('([^']+)'\)$p$)::timestamptz, 'infinity')
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound) b
    WHERE i.inhparent = root AND NOT i.inhdetachpending
    ORDER BY 2
$$;
-- +goose StatementEnd

-- Replaces a table by one with partitions by occurred_at. The table becomes the first partition: its constraint
-- first_partition has the end. The caller adds keys, indexes and triggers.
-- +goose StatementBegin
CREATE FUNCTION partition_by_time(plain regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    root text := (SELECT relname FROM pg_class WHERE oid = plain);
    bound timestamptz := (SELECT substring(pg_get_constraintdef(oid) FROM '''([^'']+)''')
        FROM pg_constraint WHERE conrelid = plain AND conname = 'first_partition');
    last_name text := root || to_char(bound AT TIME ZONE 'UTC', '_YYYY_MM_DD');
    identity_column text := (SELECT attname FROM pg_attribute WHERE attrelid = plain AND attidentity <> '');
    next_value bigint;
    granted record;
BEGIN
    IF identity_column IS NOT NULL THEN
        EXECUTE format('SELECT last_value + is_called::integer FROM %s', pg_get_serial_sequence(root, identity_column))
            INTO next_value;
    END IF;
    EXECUTE format('ALTER TABLE %s SET SCHEMA partitions', plain);
    EXECUTE format('ALTER TABLE partitions.%I RENAME TO %I', root, root || '_first');
    EXECUTE format('CREATE TABLE public.%I (LIKE partitions.%I INCLUDING DEFAULTS INCLUDING IDENTITY '
        'INCLUDING CONSTRAINTS INCLUDING STORAGE) PARTITION BY RANGE (occurred_at)', root, root || '_first');
    EXECUTE format('ALTER TABLE public.%I DROP CONSTRAINT first_partition', root);
    IF identity_column IS NOT NULL THEN
        EXECUTE format('ALTER TABLE partitions.%I ALTER COLUMN %I DROP IDENTITY', root || '_first', identity_column);
        EXECUTE format('ALTER TABLE public.%I ALTER COLUMN %I RESTART WITH %s', root, identity_column, next_value);
    END IF;
    -- The running program needs its privileges at once.
    FOR granted IN
        SELECT a.privilege_type, quote_ident(pg_get_userbyid(a.grantee)) AS grantee
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.oid = plain AND a.grantee NOT IN (c.relowner, 0)
    LOOP
        EXECUTE format('GRANT %s ON public.%I TO %s', granted.privilege_type, root, granted.grantee);
        EXECUTE format('REVOKE %s ON partitions.%I FROM %s', granted.privilege_type, root || '_first', granted.grantee);
    END LOOP;
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION partitions.%I FOR VALUES FROM (MINVALUE) TO (%L)', root,
        root || '_first', bound);
    EXECUTE format('ALTER TABLE partitions.%I DROP CONSTRAINT first_partition', root || '_first');
    EXECUTE format('CREATE TABLE partitions.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (MAXVALUE)',
        last_name, root, bound);
    PERFORM hold_to_organizations(format('public.%I', root)::regclass);
    PERFORM hold_to_organizations(format('partitions.%I', last_name)::regclass);
END
$$;
-- +goose StatementEnd

-- Creates a table like the partitions of a table, which is not attached yet.
-- +goose StatementBegin
CREATE FUNCTION new_partition(root regclass, name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    copied record;
BEGIN
    EXECUTE format('CREATE TABLE partitions.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES '
        'INCLUDING STORAGE)', name, root);
    PERFORM hold_to_organizations(format('partitions.%I', name)::regclass);
    -- Triggers of statements are not inherited. For rows, PostgreSQL copies them when the partition is attached.
    FOR copied IN
        SELECT pg_get_triggerdef(t.oid) AS definition FROM pg_trigger t
        WHERE t.tgrelid = root AND NOT t.tgisinternal AND t.tgtype & 1 = 0
    LOOP
        EXECUTE regexp_replace(copied.definition, ' ON \S+ ', format(' ON partitions.%I ', name));
    END LOOP;
END
$$;
-- +goose StatementEnd

-- Ends the last partition of a table at a time, and adds one for the time after it. It locks the table for some
-- milliseconds if the last partition is empty. Otherwise PostgreSQL checks each of its rows.
-- +goose StatementBegin
CREATE FUNCTION split_last_partition(root regclass, bound timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    added text := (SELECT relname FROM pg_class WHERE oid = root)
        || to_char(bound AT TIME ZONE 'UTC', '_YYYY_MM_DD');
    old record;
BEGIN
    SELECT * INTO STRICT old FROM partitions_of(root) p WHERE p.ends_at = 'infinity';
    PERFORM new_partition(root, added);
    EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', root, old.name);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', root, old.name, old.begins_at,
        bound);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION partitions.%I FOR VALUES FROM (%L) TO (MAXVALUE)', root, added,
        bound);
END
$$;
-- +goose StatementEnd

-- Adds an empty partition for the time before all others, if there is none. Writers do not wait for it. Its name has a
-- number if a partition of this name is still to be dropped.
-- +goose StatementBegin
CREATE FUNCTION add_first_partition(root regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    bound timestamptz := (SELECT min(begins_at) FROM partitions_of(root));
    base text := (SELECT relname FROM pg_class WHERE oid = root)
        || to_char(bound AT TIME ZONE 'UTC', '"_until_"YYYY_MM_DD');
    added text := base;
    number integer := 1;
BEGIN
    IF bound > '-infinity' THEN
        WHILE to_regclass(format('partitions.%I', added)) IS NOT NULL LOOP
            number := number + 1;
            added := base || '_' || number;
        END LOOP;
        PERFORM new_partition(root, added);
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION partitions.%I FOR VALUES FROM (MINVALUE) TO (%L)', root, added,
            bound);
    END IF;
END
$$;
-- +goose StatementEnd

-- Adds one missing month to a table, and returns whether it did. There are partitions for this month and the two months
-- after it. The program runs it with the owner's rights, because its role may not change tables. The function takes no
-- argument, and waits for a lock only briefly, because writers would wait behind it.
-- +goose StatementBegin
CREATE FUNCTION add_partition() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '100ms'
    SET timezone = 'UTC' AS $$
DECLARE
    admitted text := coalesce(current_setting('omni.organizations', true), '');
    root regclass;
    begins timestamptz;
    last_name regclass;
    filled boolean;
BEGIN
    FOREACH root IN ARRAY ARRAY['audit_events', 'audit_seals']::regclass[] LOOP
        SELECT p.name, p.begins_at INTO STRICT last_name, begins FROM partitions_of(root) p
            WHERE p.ends_at = 'infinity';
        IF begins < date_trunc('month', now()) + interval '3 months' THEN
            PERFORM set_config('omni.organizations', '*', true);
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', last_name) INTO filled;
            PERFORM set_config('omni.organizations', admitted, true);
            IF filled THEN
                RAISE EXCEPTION 'the last partition of % has rows, so it is not split while the program writes', root
                    USING HINT = 'As the owner, run split_last_partition with a time after these rows.';
            END IF;
            PERFORM split_last_partition(root, begins + interval '1 month');
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION partition_by_time(regclass), new_partition(regclass, text), add_first_partition(regclass),
    split_last_partition(regclass, timestamptz), add_partition() FROM PUBLIC;

ALTER TABLE audit_seals
    DROP CONSTRAINT audit_seals_pkey,
    DROP CONSTRAINT audit_seals_once;
ALTER TABLE audit_seals
    ADD CONSTRAINT audit_seals_pkey PRIMARY KEY USING INDEX audit_seals_by_position,
    ADD CONSTRAINT audit_seals_once UNIQUE USING INDEX audit_seals_by_sequence;
DROP TRIGGER audit_events_append_only ON audit_events;
DROP TRIGGER audit_seals_append_only ON audit_seals;

SELECT partition_by_time('audit_events');
ALTER TABLE audit_events ADD CONSTRAINT audit_events_pkey PRIMARY KEY (organization_id, occurred_at, sequence);
CREATE INDEX audit_events_by_actor ON audit_events (organization_id, actor_id, occurred_at, sequence);
CREATE INDEX audit_events_by_patient
    ON audit_events (organization_id, patient_id, occurred_at, sequence)
    WHERE patient_id IS NOT NULL;
CREATE INDEX audit_events_by_subject
    ON audit_events (organization_id, subject_id, occurred_at, sequence)
    WHERE subject_id IS NOT NULL;

-- A key of a table with partitions contains the time. So the database does not refuse a position that exists in another
-- partition. The lock of the chain's row prevents it, and verify reports it.
SELECT partition_by_time('audit_seals');
ALTER TABLE audit_seals ADD CONSTRAINT audit_seals_pkey PRIMARY KEY (organization_id, position, occurred_at);
ALTER TABLE audit_seals ADD CONSTRAINT audit_seals_once UNIQUE (organization_id, sequence, occurred_at);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    reached bigint;
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('omnirapeutic.audit_removal', true) = 'on' THEN
        IF starts_with(TG_TABLE_NAME, 'audit_events') THEN -- the table or a partition
            SELECT s.position INTO reached FROM public.audit_seals s
            WHERE s.organization_id = OLD.organization_id AND s.occurred_at = OLD.occurred_at
              AND s.sequence = OLD.sequence;
        ELSIF starts_with(TG_TABLE_NAME, 'audit_seals') THEN
            reached := OLD.position;
        END IF;
        IF EXISTS (
            SELECT FROM public.audit_checkpoints c
            WHERE c.organization_id = OLD.organization_id AND c.position >= reached
        ) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit trail is never changed, and removed only up to a checkpoint'
        USING ERRCODE = 'restrict_violation';
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

-- The first partitions have kept these triggers, and later ones are created with them.
-- +goose StatementBegin
DO $$
DECLARE
    root text;
BEGIN
    FOREACH root IN ARRAY ARRAY['audit_events', 'audit_seals'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION '
            'refuse_change_of_audit()', root || '_not_truncated',
            (SELECT name FROM partitions_of(root::regclass) WHERE ends_at = 'infinity'));
    END LOOP;
    WHILE add_partition() LOOP
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- Copies the rows into plain tables.
LOCK TABLE audit_events, audit_seals IN ACCESS EXCLUSIVE MODE;
-- +goose StatementBegin
DO $$
DECLARE
    root text;
    next_value bigint;
    granted record;
BEGIN
    FOREACH root IN ARRAY ARRAY['audit_events', 'audit_seals'] LOOP
        EXECUTE format('CREATE TABLE partitions.plain (LIKE public.%I INCLUDING DEFAULTS INCLUDING IDENTITY '
            'INCLUDING CONSTRAINTS INCLUDING STORAGE)', root);
        EXECUTE format('INSERT INTO partitions.plain OVERRIDING SYSTEM VALUE SELECT * FROM public.%I', root);
        IF root = 'audit_events' THEN
            EXECUTE format('SELECT last_value + is_called::integer FROM %s', pg_get_serial_sequence(root, 'sequence'))
                INTO next_value;
            EXECUTE format('ALTER TABLE partitions.plain ALTER COLUMN sequence RESTART WITH %s', next_value);
        END IF;
        FOR granted IN
            SELECT a.privilege_type, quote_ident(pg_get_userbyid(a.grantee)) AS grantee
            FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
            WHERE c.oid = root::regclass AND a.grantee NOT IN (c.relowner, 0)
        LOOP
            EXECUTE format('GRANT %s ON partitions.plain TO %s', granted.privilege_type, granted.grantee);
        END LOOP;
        EXECUTE format('DROP TABLE public.%I', root);
        EXECUTE format('ALTER TABLE partitions.plain RENAME TO %I', root);
        EXECUTE format('ALTER TABLE partitions.%I SET SCHEMA public', root);
        EXECUTE format('SELECT hold_to_organizations(%L)', root);
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION '
            'refuse_change_of_audit()', root || '_append_only', root);
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION '
            'refuse_change_of_audit()', root || '_not_truncated', root);
    END LOOP;
END
$$;
-- +goose StatementEnd
ALTER TABLE audit_events ADD CONSTRAINT audit_events_pkey PRIMARY KEY (organization_id, occurred_at, sequence);
CREATE INDEX audit_events_by_actor ON audit_events (organization_id, actor_id, occurred_at, sequence);
CREATE INDEX audit_events_by_patient
    ON audit_events (organization_id, patient_id, occurred_at, sequence)
    WHERE patient_id IS NOT NULL;
CREATE INDEX audit_events_by_subject
    ON audit_events (organization_id, subject_id, occurred_at, sequence)
    WHERE subject_id IS NOT NULL;
ALTER TABLE audit_seals
    ADD CONSTRAINT audit_seals_pkey PRIMARY KEY (organization_id, position),
    ADD CONSTRAINT audit_seals_once UNIQUE (organization_id, sequence);
-- As the migration before this one has left it.
CREATE UNIQUE INDEX audit_seals_by_position ON audit_seals (organization_id, position, occurred_at);
CREATE UNIQUE INDEX audit_seals_by_sequence ON audit_seals (organization_id, sequence, occurred_at);
-- +goose StatementBegin
DO $$
DECLARE
    bound timestamptz := date_trunc('month', now() + interval '1 month 7 days', 'UTC');
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['audit_events', 'audit_seals'] LOOP
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT first_partition CHECK (occurred_at < %L)', name, bound);
    END LOOP;
END
$$;
-- +goose StatementEnd
DROP FUNCTION add_partition();
DROP FUNCTION add_first_partition(regclass);
DROP FUNCTION split_last_partition(regclass, timestamptz);
DROP FUNCTION new_partition(regclass, text);
DROP FUNCTION partition_by_time(regclass);
DROP FUNCTION partitions_of(regclass);
