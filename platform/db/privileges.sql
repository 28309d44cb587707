-- What the program's role may do. It owns nothing and bypasses nothing, so these
-- bind it. Applied after every migration.
GRANT USAGE ON SCHEMA public TO {{role}};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {{role}};

-- The ledger is append-only.
REVOKE UPDATE, DELETE, TRUNCATE ON unit_entries FROM {{role}};

-- A command keeps its id and its fingerprint until its row is deleted, when the request can no longer be repeated.
-- A request that runs in a transaction of its own writes the row first and the answer last.
REVOKE UPDATE, TRUNCATE ON commands FROM {{role}};
GRANT UPDATE (answer) ON commands TO {{role}};

-- The schema's version is read at the start, and written by migrations only.
REVOKE INSERT, UPDATE, DELETE ON goose_db_version, schema_compatibility FROM {{role}};

-- Locked, and nothing else: LOCK TABLE needs one of UPDATE, DELETE and TRUNCATE, in all versions.
REVOKE INSERT, DELETE ON write_lock FROM {{role}};

-- Addenda are signed: nobody changes or takes back what was signed.
REVOKE UPDATE, DELETE, TRUNCATE ON session_addenda FROM {{role}};
-- The audit trail is append-only; only its owner can remove what is old, up to a checkpoint.
REVOKE UPDATE, DELETE, TRUNCATE ON audit_events, audit_seals FROM {{role}};
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON audit_checkpoints FROM {{role}};
REVOKE DELETE, TRUNCATE ON audit_chains FROM {{role}};
REVOKE UPDATE, TRUNCATE ON audit_unsealed FROM {{role}};
-- How much of a queue was entered is not forgotten, or it would be entered again.
REVOKE DELETE, TRUNCATE ON audit_spools FROM {{role}};
-- Who was invited, and by whom, stays on record.
REVOKE DELETE, TRUNCATE ON invitations FROM {{role}};
-- Who may do no more what they could: told once, and deleted when no token is as old.
REVOKE UPDATE, TRUNCATE ON access_changes FROM {{role}};
-- Who broke the glass stays on record.
REVOKE DELETE, TRUNCATE ON emergency_grants FROM {{role}};
