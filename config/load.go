package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"omnirapeutic/platform/otlp"
)

const (
	envPrefix     = "OMNI_"
	envTestPrefix = "OMNI_TEST_"             // belongs to the tests
	envLoadtest   = "OMNI_LOADTEST_PASSWORD" // belongs to the command loadtest
	fileSuffix    = "_FILE"
)

// Load reads the configuration: defaults, then the YAML file at path, if path is not
// empty, then the variables in environ, in the form of os.Environ. An empty variable
// counts as not set. The error is a *[Problems] with all problems.
func Load(path string, environ []string) (Config, error) {
	l := newLoader(path, environ)
	layers := []layer{
		{name: "default", values: defaults()},
		{name: "file " + path, values: l.file()},
		{name: "environment", values: l.environment()},
	}
	c := Config{Ignored: l.ignored, secretTexts: map[string]Secret{}}
	sources := map[string]string{}
	for _, k := range keys {
		l.apply(&c, k, layers, sources)
	}
	l.complete(&c, sources)
	l.refuse(c, sources)
	l.telemetry(&c)
	if len(l.problems.List) > 0 {
		return Config{}, l.problems
	}
	for _, k := range keys {
		c.settings = append(c.settings, Setting{Key: k.name, Value: k.show(c), Source: sources[k.name]})
	}
	return c, nil
}

// LogFormat returns the format of log lines, json or text, even if the configuration is otherwise
// invalid, because its errors are logged too.
func LogFormat(path string, environ []string) string {
	l := newLoader(path, environ)
	file, environment := l.file(), l.environment()
	value := func(name string) string {
		given, _ := plain(environment[name])
		written, _ := plain(file[name])
		return cmp.Or(given, written)
	}
	format := value("log.format")
	if format == "json" || format != "text" && value("profile") == Production {
		return "json"
	}
	return "text"
}

// Default returns the default configuration, in development. Its data folder is below
// the folder for temporary files.
func Default() Config {
	c, err := Load("", []string{"OMNI_DATA_DIR=" + filepath.Join(os.TempDir(), "omnirapeutic")})
	if err != nil {
		panic(err) // the defaults are valid, as a test ensures
	}
	return c
}

// telemetry reads the variables of OpenTelemetry.
func (l *loader) telemetry(c *Config) {
	settings, problems := otlp.Parse(l.variables)
	for _, p := range problems {
		l.problems.add(p.Variable, p.Value, "environment", p.Message)
	}
	c.Telemetry = settings
}

type loader struct {
	path      string
	variables map[string]string
	problems  *Problems
	// secretFiles are the files from which secrets were read.
	secretFiles []secretFile
	ignored     []string // variables of the platform
}

func newLoader(path string, environ []string) *loader {
	l := &loader{path: path, variables: map[string]string{}, problems: &Problems{}}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		l.variables[name] = value
	}
	return l
}

// layer is one source of values. Later layers override earlier ones.
type layer struct {
	name   string
	values map[string]any // by the names of keys, such as log.level
}

func defaults() map[string]any {
	values := make(map[string]any, len(keys))
	for _, k := range keys {
		values[k.name] = k.preset
	}
	return values
}

var yamlLine = regexp.MustCompile(`line \d+`)

// file reads the YAML file. Errors do not repeat values of unknown keys or invalid
// lines, which may be secrets.
func (l *loader) file() map[string]any {
	values := map[string]any{}
	if l.path == "" {
		return values
	}
	source := "file " + l.path
	text, err := os.ReadFile(l.path)
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		l.problems.add("--config", "", source, "cannot be read: "+pathError.Err.Error())
		return values
	}
	var groups map[string]any
	if err == nil {
		groups, err = oneDocument(text)
	}
	switch {
	case errors.Is(err, errSecondDocument):
		l.problems.add("--config", "", source, err.Error())
		return values
	case err != nil:
		l.problems.add("--config", "", source, strings.TrimSpace("is not valid YAML "+yamlLine.FindString(err.Error())))
		return values
	}
	flatten("", groups, values)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if message := unknownKey(name); message != "" {
			l.problems.add(name, "", source, message)
		}
	}
	return values
}

var errSecondDocument = errors.New(
	"holds a second YAML document: remove the line --- and the duplicate settings, so that the file has one document")

// oneDocument parses YAML, and rejects a second document, which the parser would ignore.
func oneDocument(text []byte) (values map[string]any, err error) {
	documents := yaml.NewDecoder(bytes.NewReader(text))
	if err := documents.Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var second yaml.Node
	switch err := documents.Decode(&second); {
	case errors.Is(err, io.EOF):
		return values, nil
	case err != nil:
		return nil, err
	}
	return nil, errSecondDocument
}

// flatten writes the values of a group and its subgroups, by their names. An empty group is a value.
func flatten(group string, from, to map[string]any) {
	for name, value := range from {
		if group != "" {
			name = group + "." + name
		}
		switch v := value.(type) {
		case map[string]any:
			if len(v) > 0 {
				flatten(name, v, to)
				continue
			}
		case map[any]any: // not all of its names are texts
			named := make(map[string]any, len(v))
			for key, inner := range v {
				named[fmt.Sprint(key)] = inner
			}
			flatten(name, named, to)
			continue
		}
		to[name] = value
	}
}

func unknownKey(name string) string {
	for _, k := range keys {
		switch {
		case k.name == name:
			return ""
		case strings.HasPrefix(k.name, name+"."):
			return "is a group: indent its keys below it"
		case strings.HasPrefix(name, k.name+"."):
			return singleValue(k)
		}
	}
	return "is not a known key: see config.example.yaml"
}

// singleValue returns an error that shows how to write a value that was given as a list or a group.
func singleValue(k key) string {
	name := k.name[strings.LastIndex(k.name, ".")+1:]
	if k.list != "" {
		return "must be a single text, not a YAML list: write " + name + `: "` + k.list + `"`
	}
	return "must be a single value, not a list or a group: write " + name + ": VALUE on one line"
}

func keyOf(variable string) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool {
		return k.env == variable || k.secret && k.env+fileSuffix == variable
	})
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}

func (l *loader) environment() map[string]any {
	values := map[string]any{}
	for _, k := range keys {
		if value := l.variables[k.env]; value != "" {
			values[k.name] = value
		}
	}
	l.checkVariables(values)
	return values
}

// serviceVariable matches the names of the variables that Kubernetes sets for a service called omni
// or omni-something: OMNI_SERVICE_HOST, OMNI_PORT, OMNI_PORT_8080_TCP_ADDR.
var serviceVariable = regexp.MustCompile(`^OMNI(?:_[A-Z0-9_]+?)??_` +
	`(SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$`)

// isServiceVariable reports whether Kubernetes has set the variable. OMNI_PORT=8080 is not such a
// variable: the user means the address to listen on.
func isServiceVariable(name, value string) bool {
	found := serviceVariable.FindStringSubmatch(name)
	if found == nil {
		return false
	}
	scheme, _, isURL := strings.Cut(value, "://")
	return found[1] != "PORT" || isURL && slices.Contains([]string{"tcp", "udp", "sctp"}, scheme)
}

// checkVariables reports unknown variables, and reads the files that others name.
func (l *loader) checkVariables(values map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(l.variables)) {
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, envTestPrefix) || name == envLoadtest {
			continue
		}
		found, ok := keyOf(name)
		switch {
		case !ok && isServiceVariable(name, l.variables[name]):
			l.ignored = append(l.ignored, name)
		case !ok:
			l.problems.add(name, "", "environment", "is not a known variable: see config.example.yaml")
		case name != found.env && l.variables[name] != "":
			l.secretFile(values, found, name)
		}
	}
}

func (l *loader) secretFile(values map[string]any, k key, variable string) {
	source := "environment " + variable
	if l.variables[k.env] != "" {
		l.problems.add(k.name, "", source, "is set twice: set "+k.env+" or "+variable+", not both")
		return
	}
	text, err := os.ReadFile(l.variables[variable])
	secret := strings.TrimRight(string(text), "\r\n")
	switch {
	case err != nil:
		l.problems.add(k.name, l.variables[variable], source, "names a file that cannot be read")
	case secret == "":
		l.problems.add(k.name, l.variables[variable], source, "names a file that is empty")
	default:
		values[k.name] = secret
		l.secretFiles = append(l.secretFiles, secretFile{k.name, l.variables[variable], source})
	}
}

// apply sets one key from the last layer that has it.
func (l *loader) apply(c *Config, k key, layers []layer, sources map[string]string) {
	for _, from := range slices.Backward(layers) {
		value, given := from.values[k.name]
		if !given {
			continue
		}
		source := from.name
		if source == "environment" {
			source += " " + l.variableOf(k)
		}
		text, ok := plain(value)
		if !ok {
			l.problems.add(k.name, "", source, singleValue(k))
			return
		}
		if text == "" && from.name != "default" {
			continue // not set: keep the previous layer's value
		}
		sources[k.name] = source
		if text == "" {
			return
		}
		if k.secret && strings.HasPrefix(source, "file ") {
			l.secretFiles = append(l.secretFiles, secretFile{k.name, l.path, source})
		}
		if k.secret {
			c.secretTexts[k.name] = Secret(text)
		}
		if err := k.set(c, text); err != nil {
			if k.secret {
				text = hidden
			}
			l.problems.add(k.name, text, source, err.Error())
		}
		return
	}
}

func (l *loader) variableOf(k key) string {
	if l.variables[k.env] == "" {
		return k.env + fileSuffix
	}
	return k.env
}

// plain returns the text of a single value; null is "".
func plain(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string, bool, int, int64, uint64, float64:
		return fmt.Sprint(v), true
	}
	return "", false
}
