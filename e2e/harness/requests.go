package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/telemetry/logtest"
)

// Body is a JSON object.
type Body map[string]any

// Caller calls the API with an access token.
type Caller struct {
	URL, Token string
	Headers    map[string]string
}

// As returns a caller with an access token or an API key. If it is empty, the caller is
// anonymous.
func (c *Clinic) As(token string) Caller { return Caller{URL: c.URL + "/api/v1", Token: token} }

// Admin returns the administrator of the clinic's own practice.
func (c *Clinic) Admin() Caller { return c.As(c.Own.Tokens[rbac.Admin]) }

// WithHeader returns a caller that sends an additional header.
func (c Caller) WithHeader(name, value string) Caller {
	headers := map[string]string{name: value}
	for k, v := range c.Headers {
		headers[k] = v
	}
	c.Headers = headers
	return c
}

// Get sends a GET request.
func (c Caller) Get(t testing.TB, path string) Answer { return c.Send(t, http.MethodGet, path, nil) }

// Post sends a POST request.
func (c Caller) Post(t testing.TB, path string, b Body) Answer {
	return c.Send(t, http.MethodPost, path, b)
}

// Put sends a PUT request.
func (c Caller) Put(t testing.TB, path string, b Body) Answer {
	return c.Send(t, http.MethodPut, path, b)
}

// Patch sends a PATCH request.
func (c Caller) Patch(t testing.TB, path string, b Body) Answer {
	return c.Send(t, http.MethodPatch, path, b)
}

// Delete sends a DELETE request.
func (c Caller) Delete(t testing.TB, path string) Answer {
	return c.Send(t, http.MethodDelete, path, nil)
}

// GetRaw sends a GET request for an answer that is not JSON.
func (c Caller) GetRaw(t testing.TB, path string) Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+path, nil)
	require.NoError(t, err)
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	for name, value := range c.Headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	return Answer{Status: response.StatusCode, Header: response.Header, Raw: raw}
}

// Send sends a request with a JSON object, or without a body if it is nil.
func (c Caller) Send(t testing.TB, method, path string, b Body) Answer {
	t.Helper()
	var content io.Reader
	if b != nil {
		written, err := json.Marshal(b)
		require.NoError(t, err)
		content = bytes.NewReader(written)
	}
	return c.SendRaw(t, method, path, content)
}

// SendRaw sends a request with any content.
func (c Caller) SendRaw(t testing.TB, method, path string, content io.Reader) Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.URL+path, content)
	require.NoError(t, err)
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	for name, value := range c.Headers {
		request.Header.Set(name, value)
	}
	return c.Do(t, request, path)
}

// TryPost is like Post for servers that may be down: it returns an error if there was no
// answer. It sends the request once, and the transport does not repeat it.
func (c Caller) TryPost(t testing.TB, path string, b Body) (Answer, error) {
	written, err := json.Marshal(b)
	if err != nil {
		return Answer{}, err
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL+path, bytes.NewReader(written))
	if err != nil {
		return Answer{}, err
	}
	request.GetBody = nil
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.Token)
	for name, value := range c.Headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("cut off: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(raw))
	return c.CheckAnswer(t, http.MethodPost, path, response), nil
}

// Browser is an HTTP client that does not follow redirects, which are answers of the API
// too.
var Browser = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Do sends a request unchanged, and checks the answer against the contract.
func (c Caller) Do(t testing.TB, request *http.Request, path string) Answer {
	t.Helper()
	keepOutOfLogs(t, request)
	response, err := Browser.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	return c.CheckAnswer(t, request.Method, path, response)
}

// keepOutOfLogs registers personal data and secrets of a request, which must not be
// printed from now on.
func keepOutOfLogs(t testing.TB, request *http.Request) {
	t.Helper()
	logtest.Secret("a search text", request.URL.Query().Get("search"))
	if request.GetBody == nil {
		return
	}
	content, err := request.GetBody()
	require.NoError(t, err)
	raw, err := io.ReadAll(content)
	require.NoError(t, err)
	logtest.RegisterRequest(raw)
}

// CheckAnswer reads an answer, and checks it against the contract.
func (c Caller) CheckAnswer(t testing.TB, method, path string, response *http.Response) Answer {
	t.Helper()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	a := Answer{Status: response.StatusCode, Header: response.Header, Raw: raw}
	if len(raw) > 0 && a.isJSON() {
		require.NoError(t, json.Unmarshal(raw, &a.Body), "%s", raw)
	}
	if a.Status >= http.StatusBadRequest {
		a.requireProblem(t)
	} else {
		logtest.RegisterResponse(raw)
	}
	c.requireContract(t, method, path, a)
	return a
}

// requireContract checks an answer against the published contract.
func (c Caller) requireContract(t testing.TB, method, path string, a Answer) {
	t.Helper()
	if !strings.HasSuffix(c.URL, "/api/v1") {
		return
	}
	published, err := PublishedContract()
	require.NoError(t, err)
	published.requireAnswer(t, method, path, a)
}

// All reads every page of a list, and calls between before each page but the first.
func (c Caller) All(t testing.TB, path string, between func(page int)) []map[string]any {
	t.Helper()
	var found []map[string]any
	next := path
	for page := 0; ; page++ {
		if page > 0 && between != nil {
			between(page)
		}
		a := c.Get(t, next)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
		for _, item := range a.Body["data"].([]any) {
			found = append(found, item.(map[string]any))
		}
		cursor, ok := a.Body["nextCursor"].(string)
		if !ok {
			return found
		}
		next = path + "&cursor=" + url.QueryEscape(cursor)
	}
}

// Column returns a text member of each item.
func Column(items []map[string]any, name string) []string {
	values := make([]string, len(items))
	for i, item := range items {
		values[i] = item[name].(string)
	}
	return values
}
