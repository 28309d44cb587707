-- Who repeats a refresh: a token that was used is answered again for a moment, to the same network only.

-- +goose Up
ALTER TABLE refresh_tokens ADD COLUMN used_from text; -- the network; null: it was not used, or by an earlier program
ALTER TABLE sign_ins ADD COLUMN repeated_at timestamptz; -- when a used token was answered again last

-- +goose Down
ALTER TABLE sign_ins DROP COLUMN repeated_at;
ALTER TABLE refresh_tokens DROP COLUMN used_from;
