#!/bin/sh
# Creates the two roles of docs/operations.md in a new database. The image of PostgreSQL runs this once.
set -eu
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
  -v owner_password="$(cat "$OMNI_OWNER_PASSWORD_FILE")" -v app_password="$(cat "$OMNI_APP_PASSWORD_FILE")" \
  -v database="$POSTGRES_DB" <<'SQL'
CREATE ROLE omni_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE omni_app LOGIN PASSWORD :'app_password' NOSUPERUSER NOBYPASSRLS;
ALTER DATABASE :"database" OWNER TO omni_owner;
SQL
