package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheModelReproducesTheMeasuredRates compares the model with runs of the load test on the machine
// of docs/scale.md.
func TestTheModelReproducesTheMeasuredRates(t *testing.T) {
	t.Parallel()
	for clients, perSecond := range measuredBookings {
		predicted := measured.Batches.Rate(measured.Machine, measured.Command, clients)
		assert.InEpsilon(t, perSecond, predicted, 0.25, "%d clients: predicted %.0f, measured %.0f", clients, predicted, perSecond)
	}
}

func TestTheDocumentHasTheTablesOfTheModel(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/scale.md")
	require.NoError(t, err)
	for _, table := range []string{demandTable(), rateTable()} {
		require.Contains(t, string(document), table, "copy the output of go run ./bench/scale")
	}
}

func TestMoreProcessorsDoNotRaiseTheRateOfOneBatchAtATime(t *testing.T) {
	t.Parallel()
	rate := func(processors, clients int) float64 {
		return measured.Batches.Rate(Machine{Processors: processors}, measured.Command, clients)
	}
	require.InEpsilon(t, rate(64, 10_000), measured.Batches.Most(), 0.01)
	require.Less(t, rate(1, 10_000), rate(64, 10_000))
}
