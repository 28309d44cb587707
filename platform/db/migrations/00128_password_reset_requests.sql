-- Requests of people who have forgotten their password.

-- +goose Up
-- A request is stored for every address, known or not, and is answered by mail a moment later. So the answer to the
-- request does not depend on the address.
CREATE TABLE password_reset_requests (
    id            uuid        NOT NULL,
    address       bytea       NOT NULL, -- the typed e-mail address, encrypted: people sometimes type a password
    requested_at  timestamptz NOT NULL,
    source        text        NOT NULL, -- the client's address
    PRIMARY KEY (id)
);

-- +goose Down
DROP TABLE password_reset_requests;
