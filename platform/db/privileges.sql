-- The privileges of the program's role. The role owns nothing and bypasses nothing, so these privileges bind it. They are
-- applied after every migration.
GRANT USAGE ON SCHEMA public TO {{role}};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {{role}};

-- The ledger is append-only.
REVOKE UPDATE, DELETE, TRUNCATE ON unit_entries FROM {{role}};

-- A command keeps its id and its fingerprint until its row is deleted; after that the request can no longer be repeated.
-- A request that runs in a transaction of its own writes the row first and the answer last.
REVOKE UPDATE, TRUNCATE ON commands FROM {{role}};
GRANT UPDATE (answer) ON commands TO {{role}};

-- The program reads the version of the schema. Only migrations write it.
REVOKE INSERT, UPDATE, DELETE ON goose_db_version, schema_compatibility FROM {{role}};

-- The program only locks this table. LOCK TABLE needs UPDATE, DELETE or TRUNCATE in every version of PostgreSQL.
REVOKE INSERT, DELETE ON write_lock FROM {{role}};

-- Addenda are signed and never change, and neither do earlier versions of sessions.
REVOKE UPDATE, DELETE, TRUNCATE ON session_addenda, session_versions, session_version_patients FROM {{role}};
-- Signatures and the texts that were signed are evidence.
REVOKE UPDATE, DELETE, TRUNCATE ON session_signatures, session_signed_notes FROM {{role}};
-- Checkpoints of verifications are append-only.
REVOKE UPDATE, DELETE, TRUNCATE ON verification_checkpoints FROM {{role}};
-- The audit trail is append-only. Only its owner can remove old events, up to a checkpoint.
REVOKE UPDATE, DELETE, TRUNCATE ON audit_events, audit_seals, audit_lists, audit_list_records FROM {{role}};
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON audit_checkpoints, audit_restored_events FROM {{role}};
REVOKE DELETE, TRUNCATE ON audit_chains FROM {{role}};
REVOKE UPDATE, TRUNCATE ON audit_unsealed FROM {{role}};
-- +postgresql begin
-- The program adds partitions with the owner's rights. Its role has no privilege on a partition.
DO $$
BEGIN
    IF to_regprocedure('add_partition()') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION add_partition() TO {{role}};
    END IF;
END
$$;
-- +postgresql end
-- Without its row, a queue file would be entered again.
REVOKE DELETE, TRUNCATE ON audit_spools FROM {{role}};
-- Invitations stay on record.
REVOKE DELETE, TRUNCATE ON invitations FROM {{role}};
-- Revocations do not change. They are deleted when no token is as old.
REVOKE UPDATE, TRUNCATE ON access_changes FROM {{role}};
-- Emergency grants stay on record.
REVOKE DELETE, TRUNCATE ON emergency_grants FROM {{role}};

-- Exported files and lines never change. Of an export only the retraction changes, and of a claim the payer's number.
REVOKE UPDATE, DELETE, TRUNCATE ON billing_files, billing_lines FROM {{role}};
REVOKE UPDATE, DELETE, TRUNCATE ON billing_exports, billing_claims FROM {{role}};
GRANT UPDATE (retracted_by, retracted_at, retract_reason) ON billing_exports TO {{role}};
GRANT UPDATE (control_number) ON billing_claims TO {{role}};
