// Package invoked knows how a person started the program, so that messages name
// commands that can be typed.
package invoked

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// As returns a command as the person would type it: "go run . migrate up" where the
// program was started with go run, and "omnirapeutic migrate up" where it is
// installed under that name.
func As(command string) string {
	executable, _ := os.Executable() // "" where it is not known: then the name counts
	return strings.TrimSpace(name(os.Args[0], executable) + " " + command)
}

// ranByGo matches where go run starts a program: in a folder for temporary files, or
// the second time in its cache.
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
