// Package programname determines how the program was started, so that messages can name commands as the
// user types them.
package programname

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Command returns a command as the person would type it: "go run . migrate up" if the program was
// started with go run, or "omnirapeutic migrate up" if it is installed under that name.
func Command(command string) string {
	executable, _ := os.Executable() // "" if unknown: then the argument is used
	return strings.TrimSpace(name(os.Args[0], executable) + " " + command)
}

// ranByGo matches the paths where go run starts a program: a temporary folder or, the second time,
// its cache.
var ranByGo = regexp.MustCompile(`/(go-build\d+/b\d+/exe|[0-9a-f]{64}-d)/[^/]+$`)

// name returns the program's name.
func name(argument, executable string) string {
	if ranByGo.MatchString(filepath.ToSlash(executable)) {
		return "go run ."
	}
	base := filepath.Base(argument)
	if found, err := exec.LookPath(base); err == nil && (found == argument || base == argument) {
		return base
	}
	return argument
}
