package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/app/cli"
)

// printed returns the output of a command that succeeds.
func printed(t *testing.T, arguments ...string) string {
	t.Helper()
	code, out, errors := runProgram(t, nil, "", arguments...)
	require.Equal(t, cli.ExitOK, code, errors)
	return out
}

func TestBashCompletesCommandsAndOptions(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("the test needs bash")
	}
	script := filepath.Join(t.TempDir(), "completion.bash")
	require.NoError(t, os.WriteFile(script, []byte(printed(t, "completion", "bash")), 0o600))
	for typed, want := range map[string][]string{
		"m":                      {"migrate", "man"},
		"migrate ":               {"up", "down", "status", "--help", "--config"},
		"--config x.yaml config": {"config"},
		"config c":               {"check"},
		"completion f":           {"fish"},
		"verify --inc":           {"--incremental"},
		"healthcheck --l":        {"--live"},
		"migrate up --con":       {"--config"},
		"meas":                   nil, // hidden
	} {
		call := `source "$0"; COMP_WORDS=(omnirapeutic "$@"); COMP_CWORD=$#; _omnirapeutic; echo "${COMPREPLY[*]}"`
		words := strings.Split(typed, " ")
		out, err := exec.Command("bash", append([]string{"-c", call, script}, words...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.ElementsMatch(t, want, strings.Fields(string(out)), typed)
	}
}

func TestOtherShellsAcceptTheirScripts(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"zsh", "fish"} {
		script := printed(t, "completion", shell)
		require.Contains(t, script, "migrate")
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		path := filepath.Join(t.TempDir(), "completion")
		require.NoError(t, os.WriteFile(path, []byte(script), 0o600))
		out, err := exec.Command(shell, "-n", path).CombinedOutput()
		require.NoError(t, err, "%s: %s", shell, out)
		if shell == "zsh" {
			out, err := exec.Command(shell, "-c", "autoload -U compinit && compinit -u -D; source "+path).CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
		if shell == "fish" {
			out, err := exec.Command(shell, "-c", "source "+path+"; complete -C 'omnirapeutic config '").CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "check")
			require.NotContains(t, string(out), "migrate")
		}
	}
}

func TestManualDescribesEveryCommand(t *testing.T) {
	t.Parallel()
	page := printed(t, "man")
	for _, text := range []string{
		`.SS migrate up`, `.SS user reset\-password`, `.SS completion <shell>`, `.B \-\-incremental`, "164.316", ".B 3\n",
	} {
		require.Contains(t, page, text)
	}
	require.NotContains(t, page, ".SS measured", "hidden commands are left out")
	self, err := os.Executable()
	require.NoError(t, err)
	require.NotContains(t, page, self, "the page does not depend on the place of the program")
	if _, err := exec.LookPath("mandoc"); err != nil {
		t.Skip("the format is checked with mandoc")
	}
	check := exec.Command("mandoc", "-T", "lint", "-W", "error")
	check.Stdin = strings.NewReader(page)
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
