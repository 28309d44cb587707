-- Lists of authorizations by their dates, without sorting all of an organization's.

-- +goose Up
CREATE INDEX authorizations_by_end ON authorizations (organization_id, end_date, id);
CREATE INDEX authorizations_by_start ON authorizations (organization_id, start_date, id);

-- +goose Down
DROP INDEX authorizations_by_start;
DROP INDEX authorizations_by_end;
