package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	yamlv3 "go.yaml.in/yaml/v3"
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
	l := &loader{path: path, variables: variablesOf(environ), problems: &Problems{}}
	layers := []layer{
		{name: "default", values: l.defaults()},
		{name: "file " + path, values: l.file()},
		{name: "environment", values: l.environment(environ)},
	}
	c := Config{Ignored: l.ignored}
	sources := map[string]string{}
	for _, k := range keys {
		l.apply(&c, k, layers, sources)
	}
	l.complete(&c, sources)
	l.refuse(c, sources)
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
	l := &loader{path: path, variables: variablesOf(environ), problems: &Problems{}}
	file, environment := l.file(), l.environment(environ)
	value := func(name string) string {
		for _, values := range []*koanf.Koanf{environment, file} {
			if text := values.String(name); text != "" {
				return text
			}
		}
		return ""
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

type loader struct {
	path      string
	variables map[string]string
	problems  *Problems
	// secretFiles are the files from which secrets were read.
	secretFiles []secretFile
	ignored     []string // variables of the platform
}

// layer is one source of values. Later layers override earlier ones.
type layer struct {
	name   string
	values *koanf.Koanf
}

func variablesOf(environ []string) map[string]string {
	m := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		m[name] = value
	}
	return m
}

func (l *loader) defaults() *koanf.Koanf {
	values := make(map[string]any, len(keys))
	for _, k := range keys {
		values[k.name] = k.preset
	}
	k := koanf.New(".")
	_ = k.Load(confmap.Provider(values, "."), nil) // a map cannot fail to load
	return k
}

var yamlLine = regexp.MustCompile(`line \d+`)

// file reads the YAML file. Errors do not repeat values of unknown keys or invalid
// lines, which may be secrets.
func (l *loader) file() *koanf.Koanf {
	k := koanf.New(".")
	if l.path == "" {
		return k
	}
	source := "file " + l.path
	err := k.Load(file.Provider(l.path), oneDocument{})
	if errors.Is(err, errSecondDocument) {
		l.problems.add("--config", "", source, err.Error())
		return koanf.New(".")
	}
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		l.problems.add("--config", "", source, "cannot be read: "+pathError.Err.Error())
		return koanf.New(".")
	}
	if err != nil {
		l.problems.add("--config", "", source, strings.TrimSpace("is not valid YAML "+yamlLine.FindString(err.Error())))
		return koanf.New(".")
	}
	for _, name := range k.Keys() {
		if message := unknownKey(name); message != "" {
			l.problems.add(name, "", source, message)
		}
	}
	return k
}

// oneDocument parses YAML and rejects a second document, which the parser would ignore.
type oneDocument struct{ parser yaml.YAML }

var errSecondDocument = errors.New(
	"holds a second YAML document: remove the line --- and the duplicate settings, so that the file has one document")

// Unmarshal implements koanf.Parser.
func (d oneDocument) Unmarshal(text []byte) (map[string]any, error) {
	values, err := d.parser.Unmarshal(text)
	if err != nil {
		return nil, err
	}
	documents := yamlv3.NewDecoder(bytes.NewReader(text))
	for n := 0; ; n++ {
		var document yamlv3.Node
		switch err := documents.Decode(&document); {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return nil, err
		case n > 0:
			return nil, errSecondDocument
		}
	}
}

// Marshal implements koanf.Parser.
func (d oneDocument) Marshal(values map[string]any) ([]byte, error) { return d.parser.Marshal(values) }

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

func (l *loader) environment(environ []string) *koanf.Koanf {
	k := koanf.New(".")
	_ = k.Load(env.Provider(".", env.Opt{ // the variables are in memory, so it cannot fail
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(variable, value string) (string, any) {
			found, ok := keyOf(variable)
			if !ok || value == "" || variable != found.env {
				return "", nil
			}
			return found.name, value
		},
	}), nil)
	l.checkVariables(k)
	return k
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
func (l *loader) checkVariables(k *koanf.Koanf) {
	names := make([]string, 0, len(l.variables))
	for name := range l.variables {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
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
			l.secretFile(k, found, name)
		}
	}
}

func (l *loader) secretFile(values *koanf.Koanf, k key, variable string) {
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
		_ = values.Set(k.name, secret)
		l.secretFiles = append(l.secretFiles, secretFile{k.name, l.variables[variable], source})
	}
}

// apply sets one key from the last layer that has it.
func (l *loader) apply(c *Config, k key, layers []layer, sources map[string]string) {
	for _, from := range slices.Backward(layers) {
		if !from.values.Exists(k.name) {
			continue
		}
		source := from.name
		if source == "environment" {
			source += " " + l.variableOf(k)
		}
		text, ok := plain(from.values.Get(k.name))
		if !ok {
			if len(from.values.MapKeys(k.name)) == 0 { // a group is reported elsewhere
				l.problems.add(k.name, "", source, singleValue(k))
			}
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
