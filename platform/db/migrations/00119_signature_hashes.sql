-- Hashes of signatures, so that verifications find changed ones.

-- +goose Up
ALTER TABLE session_signatures
    ADD COLUMN hash bytea, -- SHA-256 of all other columns; null: signed before this column existed
    ADD CONSTRAINT session_signatures_own_hash CHECK (length(hash) = 32);

-- +goose Down
ALTER TABLE session_signatures DROP COLUMN hash;
