-- An id for each timeline of the primary. A server that does not have the id follows another history.

-- +goose Up
CREATE TABLE replication_history (
    one      boolean     PRIMARY KEY DEFAULT true,
    timeline text        NOT NULL, -- as in the names of the write-ahead log's files
    id       uuid        NOT NULL,
    began_at timestamptz NOT NULL,
    CONSTRAINT replication_history_one CHECK (one)
) WITH (fillfactor = 50);

-- +goose Down
DROP TABLE replication_history;
