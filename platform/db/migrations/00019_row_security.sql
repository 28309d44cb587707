-- Row level security: the second wall between organizations. A statement that forgets to name its organization finds
-- no rows of others, and can add none to them.

-- +goose Up
-- Holds a table with organization_id to the organizations that the transaction has named: an array of uuids in
-- omni.organizations, or '*' for all of them. Where it is not set there are no rows. It binds the owner too. Later
-- migrations call it for the tables that they add: SELECT hold_to_organizations('new_table').
-- The setting is read once in a statement, not once a row: that is what the sub-selects are for. It is compared with
-- an operator that PostgreSQL knows to be leakproof, and so are those that queries look rows up by (uuid, text, date,
-- timestamptz, numbers): they go on using their indexes.
-- +goose StatementBegin
CREATE FUNCTION hold_to_organizations(tenants regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tenants);
    EXECUTE format($policy$
        CREATE POLICY of_organizations ON %s USING (
            organization_id = ANY ((SELECT CASE WHEN current_setting('omni.organizations', true) LIKE '{%%'
                THEN current_setting('omni.organizations', true)::uuid[] END)::uuid[])
            OR (SELECT current_setting('omni.organizations', true) = '*'))$policy$, tenants);
END
$$;

DO $$
DECLARE
    tenants regclass;
BEGIN
    FOR tenants IN
        SELECT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
          AND a.attname = 'organization_id' AND NOT a.attisdropped
        ORDER BY c.relname
    LOOP
        PERFORM hold_to_organizations(tenants);
    END LOOP;
END
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION hold_to_organizations(regclass) FROM PUBLIC;

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
    tenants regclass;
BEGIN
    FOR tenants IN SELECT polrelid FROM pg_policy WHERE polname = 'of_organizations' LOOP
        EXECUTE format('DROP POLICY of_organizations ON %s', tenants);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', tenants);
    END LOOP;
END
$$;
-- +goose StatementEnd
DROP FUNCTION hold_to_organizations(regclass);
