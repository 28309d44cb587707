package postgres

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// A child has copies of all open files between fork and exec. The lock must not survive
// in them.
func TestUnlockWhileChildrenStart(t *testing.T) {
	t.Parallel()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_ = exec.Command(os.Args[0], "-test.run=^$").Run()
			}
		}
	}()
	defer func() { close(done); <-ended }()

	dir := t.TempDir()
	for range 2_000 {
		lock, err := lockDir(dir)
		require.NoError(t, err)
		require.NoError(t, unlock(lock))
	}
}
