// Package npm downloads packages from the npm registry that the machine is configured for. npm
// itself is not needed.
//
// It reads npm's configuration as npm does: environment variables npm_config_…, then the .npmrc of
// the project, of the user and of the machine. It supports the registry (also of a scope), its
// credentials, proxies, cafile, ca and strict-ssl, and ignores everything else.
package npm

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// defaultRegistry is the public npm registry.
const defaultRegistry = "https://registry.npmjs.org/"

// Machine is the source of the configuration.
type Machine struct {
	Environ []string // as os.Environ returns it
	Dir     string   // the working directory, for the project's .npmrc
	Globals []string // paths of the machine's configuration; the first existing one is used
}

// ThisMachine returns the machine that the program runs on.
func ThisMachine() Machine {
	dir, _ := os.Getwd() // "" if unknown: then there is no project
	return Machine{
		Environ: os.Environ(), Dir: dir,
		Globals: []string{"/usr/local/etc/npmrc", "/etc/npmrc", "/usr/etc/npmrc", "/opt/homebrew/etc/npmrc"},
	}
}

// configuration is a merged configuration. Names of options are in lower case with dashes; lists
// have one item per line.
type configuration struct {
	options     map[string]string
	environment map[string]string
}

// read returns the configuration of the machine. A file that exists but cannot be read is an error,
// because without it the wrong registry could be used.
func (m Machine) read() (configuration, error) {
	c := configuration{options: map[string]string{}, environment: map[string]string{}}
	given := map[string]string{}
	for _, entry := range m.Environ {
		name, value, _ := strings.Cut(entry, "=")
		c.environment[name] = value
		if option, ok := optionOf(name); ok && value != "" {
			given[option] = value
		}
	}
	for _, path := range m.files(c.environment, given) { // in ascending priority
		if err := c.readFile(path); err != nil {
			return c, err
		}
	}
	for option, value := range given {
		c.options[option] = value
	}
	return c, nil
}

// optionOf returns the option that a variable sets: npm_config_strict_ssl and NPM_CONFIG_STRICT_SSL
// both set strict-ssl. Names of credentials keep their case.
func optionOf(variable string) (string, bool) {
	const prefix = "npm_config_"
	if len(variable) <= len(prefix) || !strings.EqualFold(variable[:len(prefix)], prefix) {
		return "", false
	}
	option := variable[len(prefix):]
	if strings.HasPrefix(option, "//") {
		return option, true
	}
	option = strings.ToLower(option)
	return option[:1] + strings.ReplaceAll(option[1:], "_", "-"), true // a leading _ stays: _authToken
}

func (m Machine) files(environment, given map[string]string) []string {
	global := given["globalconfig"]
	if prefix := given["prefix"]; global == "" && prefix != "" {
		global = filepath.Join(prefix, "etc", "npmrc")
	}
	for _, path := range m.Globals {
		if global == "" && exists(path) {
			global = path
		}
	}
	user := given["userconfig"]
	if user == "" && environment["HOME"] != "" {
		user = filepath.Join(environment["HOME"], ".npmrc")
	}
	return []string{global, user, m.project()}
}

// project returns the .npmrc of the project: of the nearest folder, upwards, with a package.json or
// node_modules, otherwise of the working directory.
func (m Machine) project() string {
	if m.Dir == "" {
		return ""
	}
	for dir := m.Dir; ; dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, "package.json")) || exists(filepath.Join(dir, "node_modules")) {
			return filepath.Join(dir, ".npmrc")
		}
		if dir == filepath.Dir(dir) {
			return filepath.Join(m.Dir, ".npmrc")
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readFile adds the options of one file. A missing file has none.
func (c configuration) readFile(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("npm's configuration: %w", err)
	}
	defer f.Close()
	read := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, ";") || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "[") {
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		name, value = c.expand(strings.TrimSpace(name)), c.expand(unquote(strings.TrimSpace(value)))
		if list, ok := strings.CutSuffix(name, "[]"); ok {
			name, value = list, strings.TrimPrefix(read[list]+"\n"+value, "\n")
		}
		read[name] = value
	}
	for name, value := range read {
		c.options[name] = value
	}
	return nil
}

func unquote(value string) string {
	if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		return value[1 : len(value)-1]
	}
	return value
}

var reference = regexp.MustCompile(`\$\{([^}]+)\}`)

// expand replaces ${NAME} by the variable, and ${NAME?} by the empty string if it is not set.
// Unknown names stay unchanged.
func (c configuration) expand(text string) string {
	return reference.ReplaceAllStringFunc(text, func(found string) string {
		name := found[2 : len(found)-1]
		optional := strings.HasSuffix(name, "?")
		value, ok := c.environment[strings.TrimSuffix(name, "?")]
		if !ok && !optional {
			return found
		}
		return value
	})
}

// first returns the first of these options or variables that is set.
func (c configuration) first(names ...string) string {
	for _, name := range names {
		if value := c.options[name]; value != "" && value != "null" {
			return value
		}
		if value := c.environment[name]; value != "" {
			return value
		}
	}
	return ""
}
