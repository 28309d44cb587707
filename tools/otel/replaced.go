package main

import (
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// anyOptions are the options of a replaced part.
type anyOptions map[string]any

func noOptions() component.Config { return &anyOptions{} }

// replacedExporter returns an exporter that prints how much it gets.
func replacedExporter(name string) exporter.Factory {
	return exporter.NewFactory(component.MustNewType(name), noOptions,
		exporter.WithTraces(func(context.Context, exporter.Settings, component.Config) (exporter.Traces, error) {
			return summary{name: name}, nil
		}, component.StabilityLevelDevelopment),
		exporter.WithMetrics(func(context.Context, exporter.Settings, component.Config) (exporter.Metrics, error) {
			return summary{name: name}, nil
		}, component.StabilityLevelDevelopment))
}

// replacedConnector returns a connector from traces to metrics that produces nothing.
func replacedConnector(name string) connector.Factory {
	return connector.NewFactory(component.MustNewType(name), noOptions, connector.WithTracesToMetrics(
		func(context.Context, connector.Settings, component.Config, consumer.Metrics) (connector.Traces, error) {
			return summary{name: name + " connector"}, nil
		}, component.StabilityLevelDevelopment))
}

// summary prints how many spans and metrics it gets.
type summary struct {
	component.StartFunc
	component.ShutdownFunc
	name string
}

// Capabilities implements the consumers.
func (summary) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// ConsumeTraces implements consumer.Traces.
func (s summary) ConsumeTraces(_ context.Context, t ptrace.Traces) error {
	fmt.Fprintf(os.Stdout, "%s: %d spans\n", s.name, t.SpanCount())
	return nil
}

// ConsumeMetrics implements consumer.Metrics.
func (s summary) ConsumeMetrics(_ context.Context, m pmetric.Metrics) error {
	fmt.Fprintf(os.Stdout, "%s: %d metrics\n", s.name, m.MetricCount())
	return nil
}
