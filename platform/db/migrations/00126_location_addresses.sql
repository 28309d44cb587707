-- Addresses of locations have the columns of all other addresses. The former program keeps its column.

-- +goose Up
ALTER TABLE locations
    ADD COLUMN address_zip text NOT NULL DEFAULT '',
    ALTER COLUMN address_line2 SET DEFAULT '';
UPDATE locations SET address_zip = replace(address_postal_code, '-', ''), address_line2 = coalesce(address_line2, '');

-- +goose Down
ALTER TABLE locations DROP COLUMN address_zip, ALTER COLUMN address_line2 DROP DEFAULT;
