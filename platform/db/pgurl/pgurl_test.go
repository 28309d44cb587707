package pgurl_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db/pgurl"
	"omnirapeutic/platform/db/pgurl/pgurltest"
)

const address = "postgres://ada@db.example.org:5433/clinic"

func TestOnlyTheURLCounts(t *testing.T) {
	plain, err := pgurl.Parse(address)
	require.NoError(t, err)
	for name, value := range pgurltest.Hostile {
		t.Setenv(name, value)
	}
	got, err := pgurl.Parse(address)
	require.NoError(t, err)
	require.Equal(t, "db.example.org", got.Host)
	require.Equal(t, uint16(5433), got.Port)
	require.Equal(t, "clinic", got.Database)
	require.Equal(t, "ada", got.User)
	require.Empty(t, got.Password)
	require.Empty(t, got.RuntimeParams)
	require.Zero(t, got.ConnectTimeout)
	require.Nil(t, got.ValidateConnect)
	require.Equal(t, plain.ChannelBinding, got.ChannelBinding)
	require.Equal(t, plain.MinProtocolVersion, got.MinProtocolVersion)
	require.Equal(t, plain.MaxProtocolVersion, got.MaxProtocolVersion)
	require.Equal(t, plain.RequireAuth, got.RequireAuth)
	require.Equal(t, plain.SSLCertMode, got.SSLCertMode)
	require.Equal(t, plain.SSLNegotiation, got.SSLNegotiation)
	require.Equal(t, plain.TLSConfig.InsecureSkipVerify, got.TLSConfig.InsecureSkipVerify)
	for name := range pgurltest.Hostile {
		require.NotContains(t, os.Environ(), name+"="+pgurltest.Hostile[name],
			"the driver reads the environment again for each connection")
	}
}

func TestEachVariableAloneIsIgnored(t *testing.T) {
	for name, value := range pgurltest.Hostile {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			pool, err := pgurl.ParsePool("host=db.example.org user=ada dbname=clinic")
			require.NoError(t, err)
			got := pool.ConnConfig
			require.Equal(t, []any{"db.example.org", uint16(5432), "clinic", "ada", ""},
				[]any{got.Host, got.Port, got.Database, got.User, got.Password})
			require.Empty(t, got.RuntimeParams)
		})
	}
}

func TestFilesInTheHomeDirectoryAreIgnored(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	require.NoError(t, os.Mkdir(filepath.Join(home, ".postgresql"), 0o700))
	passwords := filepath.Join(home, ".pgpass")
	require.NoError(t, os.WriteFile(passwords, []byte("*:*:*:*:from-a-file\n"), 0o600))
	services := filepath.Join(home, ".pg_service.conf")
	require.NoError(t, os.WriteFile(services, []byte("[clinic]\nhost=service.example.org\nuser=grace\n"), 0o600))
	for _, name := range []string{"postgresql.crt", "postgresql.key", "root.crt"} {
		require.NoError(t, os.WriteFile(filepath.Join(home, ".postgresql", name), []byte("no certificate"), 0o600))
	}
	for _, url := range []string{
		address, address + "?sslmode=require", address + "?connect_timeout=3&sslmode=prefer",
		"host=db.example.org port=5433 user=ada dbname=clinic", "dbname=clinic user=ada host=db.example.org sslmode=require",
	} {
		got, err := pgurl.Parse(url)
		require.NoError(t, err, url)
		require.Equal(t, []string{"db.example.org", "clinic", "ada", ""},
			[]string{got.Host, got.Database, got.User, got.Password}, url)
	}

	// Settings in the URL are intended.
	named, err := pgurl.Parse(address + "?sslmode=disable&passfile=" + passwords)
	require.NoError(t, err)
	require.Equal(t, "from-a-file", named.Password)
	// a service may name these files, so they count again
	require.NoError(t, os.RemoveAll(filepath.Join(home, ".postgresql")))
	named, err = pgurl.Parse("service=clinic sslmode=disable dbname=clinic")
	require.NoError(t, err)
	require.Equal(t, "grace", named.User)
	named, err = pgurl.Parse(address + "?connect_timeout=3")
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, named.ConnectTimeout)
}
