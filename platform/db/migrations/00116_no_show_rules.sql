-- Whether payers pay for no-shows, from a service date on.

-- +goose Up
-- [{"StartsOn": …, "Consumes": …}], in order. Before the first of them, and where Consumes is null, the organization's
-- no_show_consumes applies.
ALTER TABLE payers ADD COLUMN no_show_rules jsonb NOT NULL DEFAULT '[]';

-- +goose Down
ALTER TABLE payers DROP COLUMN no_show_rules;
