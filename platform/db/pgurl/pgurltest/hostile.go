// Package pgurltest lists environment variables that must not affect the program.
package pgurltest

// Hostile maps each variable that libpq's documentation lists, and variables that only the driver
// or the server's programs read, to a value that breaks or redirects a connection.
var Hostile = map[string]string{
	"PGHOST": "evil.example.org", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGDATABASE": "evil", "PGUSER": "evil",
	"PGPASSWORD": "evil", "PGPASSFILE": "/nowhere/pgpass", "PGREQUIREAUTH": "none", "PGCHANNELBINDING": "require",
	"PGSERVICE": "evil", "PGSERVICEFILE": "/nowhere/service.conf", "PGOPTIONS": "-c search_path=evil", "PGAPPNAME": "evil",
	"PGSSLMODE": "verify-full", "PGREQUIRESSL": "1", "PGSSLNEGOTIATION": "direct", "PGSSLCOMPRESSION": "1",
	"PGSSLCERT": "/nowhere/client.crt", "PGSSLKEY": "/nowhere/client.key", "PGSSLCERTMODE": "require",
	"PGSSLROOTCERT": "/nowhere/root.crt", "PGSSLCRL": "/nowhere/crl", "PGSSLCRLDIR": "/nowhere", "PGSSLSNI": "0",
	"PGSSLPASSWORD": "evil", "PGSSLMINPROTOCOLVERSION": "TLSv9", "PGSSLMAXPROTOCOLVERSION": "TLSv0",
	"PGREQUIREPEER": "evil", "PGGSSENCMODE": "require", "PGKRBSRVNAME": "evil", "PGGSSLIB": "evil", "PGGSSDELEGATION": "1",
	"PGCONNECT_TIMEOUT": "never", "PGCLIENTENCODING": "SQL_ASCII", "PGTARGETSESSIONATTRS": "standby",
	"PGLOADBALANCEHOSTS": "evil", "PGMINPROTOCOLVERSION": "9.9", "PGMAXPROTOCOLVERSION": "0.1",
	"PGDATESTYLE": "SQL, DMY", "PGTZ": "Mars/Olympus", "PGGEQO": "evil", "PGSYSCONFDIR": "/nowhere",
	"PGLOCALEDIR": "/nowhere",
	"PGDATA":      "/nowhere/data", "PGOAUTHDEBUG": "UNSAFE", "PGSSLKEYLOGFILE": "/nowhere/keys",
}
