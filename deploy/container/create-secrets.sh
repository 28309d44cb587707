#!/bin/sh
# Creates the secrets of compose.yaml in the folder secrets, unless they exist. Run it as root, because the
# files belong to the groups of the program (65532) and of PostgreSQL in its image (999).
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { openssl rand -hex 32; }
[ -e secrets/superuser_password ] || random >secrets/superuser_password
[ -e secrets/owner_password ] || random >secrets/owner_password
[ -e secrets/app_password ] || random >secrets/app_password
[ -e secrets/token_secret ] || openssl rand -base64 48 | tr -d '\n' >secrets/token_secret
host=database:5432/omnirapeutic
[ -e secrets/database_url ] || echo "postgres://omni_app:$(cat secrets/app_password)@$host" >secrets/database_url
[ -e secrets/migrate_url ] || echo "postgres://omni_owner:$(cat secrets/owner_password)@$host" >secrets/migrate_url
chown root:65532 secrets/database_url secrets/migrate_url secrets/token_secret
chown root:999 secrets/superuser_password secrets/owner_password secrets/app_password
chmod 640 secrets/*
