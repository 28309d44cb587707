-- Mail to people: the queue, addresses that refuse mail, and requests for a new password.

-- +goose Up
CREATE TABLE mails (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL, -- also the Message-ID, so that a repeated mail is recognized
    user_id          uuid, -- the recipient; null: not a user
    address          text        NOT NULL,
    kind             text        NOT NULL, -- of the template
    content          bytea, -- the values of the template, encrypted, because links are secrets; null: the mail is done
    state            text        NOT NULL DEFAULT 'QUEUED',
    attempts         integer     NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL, -- the mail is useless afterwards
    -- During an attempt: the time at which the attempt counts as lost. No other instance takes the row before.
    next_attempt_at  timestamptz NOT NULL,
    last_reply       text, -- the codes of the mail server's last reply, such as 550 5.1.1
    done_at          timestamptz,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT mails_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT mails_state CHECK (state IN ('QUEUED', 'SENT', 'FAILED', 'REFUSED', 'WITHHELD', 'EXPIRED')),
    CONSTRAINT mails_done CHECK ((state = 'QUEUED') = (done_at IS NULL) AND (state = 'QUEUED') = (content IS NOT NULL))
) WITH (fillfactor = 80);

CREATE INDEX mails_due ON mails (next_attempt_at) WHERE state = 'QUEUED';
-- For the removal of old rows.
CREATE INDEX mails_by_age ON mails (done_at) WHERE state <> 'QUEUED';

-- Addresses whose mail server has permanently refused mail. They get no mail until an administrator removes the row.
CREATE TABLE refused_addresses (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    address          text        NOT NULL,
    user_id          uuid, -- the user with the address, if the mail was for one
    kind             text        NOT NULL, -- of the refused mail
    reply            text        NOT NULL, -- the codes of the reply
    refused_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT refused_addresses_once UNIQUE (organization_id, address),
    CONSTRAINT refused_addresses_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- A request is stored for every address, known or not, and is answered by mail a moment later. So the answer to the
-- request does not depend on the address.
CREATE TABLE password_reset_requests (
    id            uuid        NOT NULL,
    address       bytea       NOT NULL, -- the typed e-mail address, encrypted: people sometimes type a password
    requested_at  timestamptz NOT NULL,
    source        text        NOT NULL, -- the client's address
    PRIMARY KEY (id)
);

SELECT hold_to_organizations('mails');
SELECT hold_to_organizations('refused_addresses');

-- +goose Down
DROP TABLE password_reset_requests;
DROP TABLE refused_addresses;
DROP TABLE mails;
