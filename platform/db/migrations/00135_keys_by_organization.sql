-- Every unique key leads with the organization, so that an engine can place and check the rows of a practice together.

-- +goose Up
-- Sign-ins and tokens name no organization, so plain indexes serve these look-ups. Tokens are random values of 256 bits:
-- two never have the same hash.
CREATE INDEX users_by_email ON users (email, organization_id);
ALTER TABLE users DROP CONSTRAINT users_email_once;
ALTER TABLE users ADD CONSTRAINT users_email_once UNIQUE (organization_id, email);

CREATE INDEX refresh_tokens_by_hash ON refresh_tokens (hash);
ALTER TABLE refresh_tokens DROP CONSTRAINT refresh_tokens_once; -- the primary key includes the hash

CREATE INDEX invitations_by_token ON invitations (token_hash);
DROP INDEX invitations_token;
CREATE INDEX password_resets_by_token ON password_resets (token_hash);
DROP INDEX password_resets_token;
DROP INDEX api_keys_by_hash;
CREATE INDEX api_keys_by_hash ON api_keys (hash);
CREATE INDEX calendar_feeds_by_token ON calendar_feeds (token_hash);
DROP INDEX calendar_feeds_token;

-- +goose Down
CREATE UNIQUE INDEX calendar_feeds_token ON calendar_feeds (token_hash);
DROP INDEX calendar_feeds_by_token;
DROP INDEX api_keys_by_hash;
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash);
CREATE UNIQUE INDEX password_resets_token ON password_resets (token_hash);
DROP INDEX password_resets_by_token;
CREATE UNIQUE INDEX invitations_token ON invitations (token_hash);
DROP INDEX invitations_by_token;
ALTER TABLE refresh_tokens ADD CONSTRAINT refresh_tokens_once UNIQUE (hash);
DROP INDEX refresh_tokens_by_hash;
ALTER TABLE users DROP CONSTRAINT users_email_once;
ALTER TABLE users ADD CONSTRAINT users_email_once UNIQUE (email, organization_id);
DROP INDEX users_by_email;
