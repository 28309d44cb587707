package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// parsedX12 is an 837P file as node-x12 reads it.
type parsedX12 struct {
	Segments       []x12Segment // of the transaction set, without its envelope
	Claims         []string     // CLM01
	Authorizations []string     // REF02 with the qualifier G1
	ControlNumbers []string     // REF02 with the qualifier F8
	Rendering      []string     // NM109 of loops 2310B and 2420A
	Supervising    []string     // NM109 of loops 2310D and 2420D
}

// parseX12 reads a file with another project's parser, in its strict mode. It skips the test if the
// parser is not installed: npm ci --prefix tools/x12
func parseX12(t *testing.T, text string) (parsedX12, error) {
	t.Helper()
	const folder = "../tools/x12"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("the parser needs Node.js")
	}
	if _, err := os.Stat(folder + "/node_modules"); err != nil {
		t.Skip("the parser is not installed: npm ci --prefix tools/x12")
	}
	command := exec.CommandContext(t.Context(), node, folder+"/read.js")
	command.Stdin = strings.NewReader(text)
	out, err := command.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return parsedX12{}, errors.New(string(failed.Stderr))
	}
	require.NoError(t, err)
	var p parsedX12
	require.NoError(t, json.Unmarshal(out, &p))
	return p, nil
}

// TestX12FilesAreReadByAnIndependentParser exports originals, a replacement and a void. The parser
// checks the syntax and the envelopes; the table of rules checks the implementation guide.
func TestX12FilesAreReadByAnIndependentParser(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	supervisor := o.hire(t, "1245319599")
	first := o.deliver(t, o.authorization, 4, harness.Body{"supervisingPractitionerId": supervisor})
	second := o.deliver(t, o.authorization, 3, harness.Body{"supervisingPractitionerId": supervisor})
	read := func(export string) parsedX12 {
		text := downloaded(t, o, "/billing/exports/"+export+"/x12")
		p, err := parseX12(t, text)
		require.NoError(t, err)
		f, err := readX12(text)
		require.NoError(t, err)
		from, to := f.first("BHT", 0), f.first("SE", 0)
		require.Equal(t, f.segments[from:to], p.Segments, "both parsers read the same")
		return p
	}
	export := o.export(t).Created(t)
	require.Equal(t, parsedX12{
		Claims: []string{"1-1"}, Authorizations: []string{"A-1"}, ControlNumbers: []string{},
		Rendering: []string{"1234567893"}, Supervising: []string{"1245319599"},
	}, withoutSegments(read(export.String())))

	o.enterControlNumber(t, export, "ICN-1")
	o.void(t, first)
	export = o.export(t).Created(t)
	replacement := read(export.String())
	require.Equal(t, []string{"2-1", "ICN-1"}, []string{replacement.Claims[0], replacement.ControlNumbers[0]})

	o.enterControlNumber(t, export, "ICN-2")
	o.void(t, second)
	void := read(o.export(t).Created(t).String())
	require.Equal(t, []string{"3-1", "ICN-2"}, []string{void.Claims[0], void.ControlNumbers[0]})
}

func withoutSegments(p parsedX12) parsedX12 {
	p.Segments = nil
	return p
}

func TestIndependentParserRefusesBrokenEnvelopes(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.deliver(t, o.authorization, 2)
	text := downloaded(t, o, "/billing/exports/"+o.export(t).Created(t).String()+"/x12")
	for name, change := range map[string][2]string{
		"a missing segment":         {"PRV*PE*PXC*106S00000X~", ""},
		"another number of groups":  {"IEA*1*", "IEA*2*"},
		"another interchange":       {"IEA*1*000000001", "IEA*1*000000002"},
		"another number of sets":    {"GE*1*1", "GE*2*1"},
		"another number of the set": {"*0001~GE", "*0002~GE"},
	} {
		broken := strings.Replace(text, change[0], change[1], 1)
		require.NotEqual(t, text, broken, name)
		_, err := parseX12(t, broken)
		require.Error(t, err, name)
		f, err := readX12(broken)
		require.NoError(t, err)
		require.NotEmpty(t, f.problems(), "%s: the table of rules finds it too", name)
	}
}
