-- Refused attempts of callers that belong to no organization, counted by network and minute. The audit trail keeps none
-- of them: nobody could remove them there, and everybody can make them.

-- +goose Up
CREATE TABLE anonymous_attempts (
    minute           timestamptz NOT NULL, -- when it began
    source           text        NOT NULL, -- network address, /64 for IPv6; 'other' for all beyond a bound for each minute
    action           text        NOT NULL, -- as in the audit trail
    reason           text        NOT NULL,
    attempts         bigint      NOT NULL,
    last_at          timestamptz NOT NULL,
    -- The order of the list, and what the retention goes by.
    PRIMARY KEY (minute, source, action, reason),
    CONSTRAINT anonymous_attempts_positive CHECK (attempts > 0)
);

-- +goose Down
DROP TABLE anonymous_attempts;
