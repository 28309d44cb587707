// Package otlp sends spans and metrics to a collector by the OpenTelemetry protocol (OTLP). The standard
// variables configure it (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
// Without an endpoint it sends nothing.
package otlp

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/sdk/trace"
)

// The protocols of OTLP that this package supports.
const (
	HTTP = "http/protobuf"
	GRPC = "grpc"
)

// Settings say which signals are sent. The zero value sends nothing. The exporters read further variables themselves, such
// as headers and certificates.
type Settings struct {
	Traces  string // protocol: HTTP or GRPC; "" for none
	Metrics string // likewise
	Sampler string // one of the samplers of the standard; "" for the default
	Ratio   string // of the samplers with one, from 0 to 1; "" for 1
}

// Enabled reports whether anything is sent.
func (s Settings) Enabled() bool { return s.Traces != "" || s.Metrics != "" }

// Problem is an invalid variable.
type Problem struct{ Variable, Value, Message string }

// The names of variables.
const (
	disabled   = "OTEL_SDK_DISABLED"
	sampler    = "OTEL_TRACES_SAMPLER"
	samplerArg = "OTEL_TRACES_SAMPLER_ARG"
	prefix     = "OTEL_EXPORTER_OTLP_"
)

// defaultSampler is that of the standard.
const defaultSampler = "parentbased_always_on"

// Parse reads the settings from variables.
func Parse(variables map[string]string) (Settings, []Problem) {
	if strings.EqualFold(variables[disabled], "true") {
		return Settings{}, nil
	}
	var problems []Problem
	s := Settings{Sampler: strings.ToLower(variables[sampler]), Ratio: variables[samplerArg]}
	for _, signal := range []struct {
		name     string
		protocol *string
	}{{"TRACES", &s.Traces}, {"METRICS", &s.Metrics}} {
		protocol, found := protocolOf(variables, signal.name)
		*signal.protocol = protocol
		problems = append(problems, found...)
	}
	if s.Traces == "" {
		s.Sampler, s.Ratio = "", ""
		return s, problems
	}
	if _, err := s.sampler(); err != nil {
		name, value := sampler, s.Sampler
		if _, known := samplers[cmp.Or(s.Sampler, defaultSampler)]; known {
			name, value = samplerArg, s.Ratio
		}
		problems = append(problems, Problem{name, value, err.Error()})
	}
	return s, problems
}

// protocolOf returns the protocol of a signal, or "" if it is not sent.
func protocolOf(variables map[string]string, signal string) (string, []Problem) {
	exporter := "OTEL_" + signal + "_EXPORTER"
	switch value := variables[exporter]; value {
	case "", "otlp":
	case "none":
		return "", nil
	default:
		return "", []Problem{{exporter, value, "must be otlp or none"}}
	}
	setting := func(name string) (variable, value string) {
		if own := prefix + signal + "_" + name; variables[own] != "" {
			return own, variables[own]
		}
		return prefix + name, variables[prefix+name]
	}
	variable, endpoint := setting("ENDPOINT")
	if endpoint == "" {
		return "", nil
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The value is not repeated: it may have a password.
		return "", []Problem{{variable, "", "must be a URL such as http://localhost:4318"}}
	}
	variable, protocol := setting("PROTOCOL")
	switch protocol = cmp.Or(protocol, HTTP); protocol {
	case HTTP, GRPC:
		return protocol, nil
	}
	return "", []Problem{{variable, protocol, "must be " + HTTP + " or " + GRPC}}
}

// samplers are the samplers of the standard, by their names. A sampler is built from its ratio.
var samplers = map[string]func(ratio float64) trace.Sampler{
	"always_on":                func(float64) trace.Sampler { return trace.AlwaysSample() },
	"always_off":               func(float64) trace.Sampler { return trace.NeverSample() },
	"traceidratio":             trace.TraceIDRatioBased,
	defaultSampler:             func(float64) trace.Sampler { return trace.ParentBased(trace.AlwaysSample()) },
	"parentbased_always_off":   func(float64) trace.Sampler { return trace.ParentBased(trace.NeverSample()) },
	"parentbased_traceidratio": func(r float64) trace.Sampler { return trace.ParentBased(trace.TraceIDRatioBased(r)) },
}

// sampler returns the configured sampler.
func (s Settings) sampler() (trace.Sampler, error) {
	build, ok := samplers[cmp.Or(s.Sampler, defaultSampler)]
	if !ok {
		return nil, fmt.Errorf("must be always_on, always_off, traceidratio, parentbased_always_on, " +
			"parentbased_always_off or parentbased_traceidratio")
	}
	ratio := 1.0
	if s.Ratio != "" && strings.HasSuffix(s.Sampler, "traceidratio") {
		var err error
		if ratio, err = strconv.ParseFloat(s.Ratio, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
			return nil, fmt.Errorf("must be a number from 0 to 1")
		}
	}
	return linked{build(ratio)}, nil
}

// String describes the settings, for operators.
func (s Settings) String() string {
	describe := func(what, protocol, more string) string {
		if protocol == "" {
			return what + " are not sent by OTLP."
		}
		return what + " are sent by OTLP (" + protocol + more + ")."
	}
	return describe("Traces", s.Traces, ", sampler "+cmp.Or(s.Sampler, defaultSampler)) + " " +
		describe("Metrics", s.Metrics, "")
}

// linked samples work that several spans have caused if one of them is sampled: only such work begins with links.
// It is a trace of its own, and without it the traces of its causes would have a gap.
type linked struct{ trace.Sampler }

// ShouldSample implements trace.Sampler.
func (l linked) ShouldSample(p trace.SamplingParameters) trace.SamplingResult {
	for _, cause := range p.Links {
		if cause.SpanContext.IsSampled() {
			return trace.SamplingResult{Decision: trace.RecordAndSample}
		}
	}
	return l.Sampler.ShouldSample(p)
}
