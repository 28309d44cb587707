package postgres

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
)

func TestTheServersOwnAccountIsPreferred(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.Equal(t, []string{"omnirapeutic", "postgres", "nobody"}, accountNames(dir))
	if os.Geteuid() != 0 {
		t.Skip("only root can give a cluster to another user")
	}
	nobody, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err := strconv.Atoi(nobody.Uid)
	require.NoError(t, err)
	cluster := filepath.Join(dir, "cluster")
	require.NoError(t, os.Mkdir(cluster, 0o700))
	require.NoError(t, os.Chown(cluster, uid, -1))
	passwords := filepath.Join(dir, "passwords.json")
	require.NoError(t, os.WriteFile(passwords, nil, 0o600))
	require.Equal(t, []string{"nobody"}, accountNames(dir), "root's cluster keeps its account")
	require.NoError(t, os.Chown(passwords, uid, -1))
	require.Equal(t, []string{"omnirapeutic", "postgres", "nobody"}, accountNames(dir), "another user's is not taken over")
}

func TestASharedAccountLogsAWarning(t *testing.T) {
	t.Parallel()
	for name, warned := range map[string]bool{"postgres": true, "nobody": true, "omnirapeutic": false, "1000": false} {
		logger, said := test.NewNullLogger()
		dir := t.TempDir()
		a := account{name: name, shared: sharedBecause(name)}
		a.warn(Options{Dir: dir, Logger: logger})
		require.Equal(t, warned, said.LastEntry() != nil, name)
		if !warned {
			continue
		}
		require.Equal(t, logrus.WarnLevel, said.LastEntry().Level)
		require.Contains(t, said.LastEntry().Message, "useradd --system")
		require.NotContains(t, said.LastEntry().Message, "chown")
		require.NoError(t, os.Mkdir(filepath.Join(dir, "cluster"), 0o700))
		a.warn(Options{Dir: dir, Logger: logger})
		require.Contains(t, said.LastEntry().Message, "chown -R omnirapeutic: "+dir)
	}
}
