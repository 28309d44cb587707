-- Lists of the audit trail are mostly random ids, which do not compress. The attempt cost most of the time of storing one.

-- +goose Up
ALTER TABLE audit_lists ALTER COLUMN records SET STORAGE EXTERNAL;

-- +goose Down
ALTER TABLE audit_lists ALTER COLUMN records SET STORAGE EXTENDED;
