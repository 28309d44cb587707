package harness

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	passwords "omnirapeutic/modules/rbac/password"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

// ContractFile is the path of the published contract, from the folder of the tests.
const ContractFile = "../app/openapi.json"

// PublishedContract reads the published contract once.
var PublishedContract = sync.OnceValues(readContract)

// contract is the published contract, with which all tests compare answers.
type contract struct {
	paths  []contractPath
	events map[string]*jsonschema.Schema // by type

	mu       sync.Mutex
	seen     map[string]bool // "operation code"
	refusals map[string]bool // also "operation code"
}

type contractPath struct {
	parts      []string
	operations map[string]contractOperation // by method
}

type contractOperation struct {
	name    string
	answers map[int]contractAnswer
}

// contractAnswer is the schemas of an answer by media type; empty without a body.
type contractAnswer map[string]*jsonschema.Schema

// contractResponse is a response, or a reference to one.
type contractResponse struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{}
}

func readContract() (*contract, error) {
	raw, err := os.ReadFile(ContractFile)
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("contract", document); err != nil {
		return nil, err
	}
	var shape struct {
		Paths map[string]map[string]struct {
			OperationID string
			Responses   map[string]contractResponse
		}
		Webhooks   map[string]struct{}
		Components struct{ Responses map[string]contractResponse }
	}
	if err := json.Unmarshal(raw, &shape); err != nil {
		return nil, err
	}
	c := &contract{events: map[string]*jsonschema.Schema{}, seen: map[string]bool{}, refusals: map[string]bool{}}
	for kind := range shape.Webhooks {
		at := "contract#/webhooks/" + EscapePointer(kind) +
			"/post/requestBody/content/" + EscapePointer("application/json") + "/schema"
		if c.events[kind], err = compiler.Compile(at); err != nil {
			return nil, err
		}
	}
	for path, methods := range shape.Paths {
		p := contractPath{parts: strings.Split(path, "/"), operations: map[string]contractOperation{}}
		for method, operation := range methods {
			o := contractOperation{name: operation.OperationID, answers: map[int]contractAnswer{}}
			for status, answer := range operation.Responses {
				code, err := strconv.Atoi(status)
				if err != nil {
					return nil, err
				}
				at := "contract#/paths/" + EscapePointer(path) + "/" + method + "/responses/" + status
				if name, ok := strings.CutPrefix(answer.Ref, "#/components/responses/"); ok {
					at, answer = "contract"+answer.Ref, shape.Components.Responses[name]
				}
				if o.answers[code], err = compileAnswer(compiler, at, answer); err != nil {
					return nil, err
				}
			}
			p.operations[strings.ToUpper(method)] = o
		}
		c.paths = append(c.paths, p)
	}
	return c, nil
}

// compileAnswer compiles the schemas of an answer at the URL, by media type.
func compileAnswer(compiler *jsonschema.Compiler, at string, answer contractResponse) (contractAnswer, error) {
	a := contractAnswer{}
	for media := range answer.Content {
		schema, err := compiler.Compile(at + "/content/" + EscapePointer(media) + "/schema")
		if err != nil {
			return nil, err
		}
		a[media] = schema
	}
	return a, nil
}

// EscapePointer escapes a member's name for a JSON pointer in a URL.
func EscapePointer(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "~", "~0"), "/", "~1")
	return strings.ReplaceAll(strings.ReplaceAll(text, "{", "%7B"), "}", "%7D")
}

// operation returns the operation of a request, or false if the contract has none.
func (c *contract) operation(method, path string) (contractOperation, bool) {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	best, found, literals := contractOperation{}, false, -1
	for _, p := range c.paths {
		if n, ok := p.matches(parts); ok && n > literals {
			best, found = p.operations[method]
			literals = n
		}
	}
	return best, found
}

// matches reports whether the path matches the pattern, and the number of literal matches.
func (p contractPath) matches(parts []string) (literals int, ok bool) {
	if len(parts) != len(p.parts) {
		return 0, false
	}
	for i, part := range p.parts {
		switch {
		case part == parts[i]:
			literals++
		case !strings.HasPrefix(part, "{") || parts[i] == "":
			return 0, false
		}
	}
	return literals, true
}

// requireAnswer checks an answer against the contract.
func (c *contract) requireAnswer(t testing.TB, method, path string, a Answer) {
	t.Helper()
	o, ok := c.operation(method, path)
	if !ok || *Update {
		return
	}
	code, _ := a.Body["code"].(string)
	if a.Status >= http.StatusBadRequest {
		requireTextForPeople(t, a.Body)
	}
	c.mu.Lock()
	c.seen[o.name+" "+code] = true
	c.mu.Unlock()
	documented, ok := o.answers[a.Status]
	require.True(t, ok, "%s %s answered %d, which is not in the contract: %s", method, path, a.Status, a.Raw)
	if len(documented) == 0 {
		require.Empty(t, a.Raw)
		return
	}
	media, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	require.Contains(t, documented, media)
	var instance any = string(a.Raw)
	if a.isJSON() {
		var err error
		instance, err = jsonschema.UnmarshalJSON(bytes.NewReader(a.Raw))
		require.NoError(t, err)
	}
	require.NoError(t, documented[media].Validate(instance), "%s %s answered %s", method, path, a.Raw)
}

// machineText is text that people cannot read: an instant in UTC, or an id.
var machineText = regexp.MustCompile(
	`\d{4}-\d\d-\d\dT\d\d:|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// requireTextForPeople checks that the texts of a problem document use local times and names. Exact
// values belong to its other members.
func requireTextForPeople(t testing.TB, problem map[string]any) {
	t.Helper()
	detail, _ := problem["detail"].(string)
	require.NotRegexp(t, machineText, strings.ReplaceAll(detail, "such as 2026-01-31T14:00:00Z", ""))
	reasons, _ := problem["reasons"].([]any)
	for _, reason := range reasons {
		require.NotRegexp(t, machineText, reason.(map[string]any)["detail"])
	}
}

// RequireEvent checks an event against the contract.
func (c *contract) RequireEvent(t testing.TB, kind string, event any) {
	t.Helper()
	if !*Update {
		require.Contains(t, c.events, kind)
		require.NoError(t, c.events[kind].Validate(event))
	}
}

// missingRefusals lists the refusals in the contract that no test has produced. Refusals that
// any request can receive are tested once, elsewhere.
func (c *contract) missingRefusals() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var missing []string
	for key := range c.refusals {
		if !c.seen[key] {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	return missing
}

// DeclareRefusals records the refusals in the routes of an app.
func (c *contract) DeclareRefusals(routes []httpx.Route) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range routes {
		for _, f := range r.Refusals {
			if !slices.ContainsFunc(unreachable, func(u *fault.Error) bool { return u.Is(f) }) {
				c.refusals[r.Name+" "+f.Code()] = true
			}
		}
	}
}

// unreachable refusals cannot occur here: too many concurrent sign-ins are tested with
// real hashing, in rbac.
var unreachable = []*fault.Error{passwords.ErrBusy}
