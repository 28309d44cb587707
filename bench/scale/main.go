// Command scale prints the tables of docs/scale.md: what practices need, against what one machine does.
// Its figures are measured, see the sources at each of them, or assumptions that say so.
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// measured are figures of the booking load and of reads on the machine of docs/performance.md, on 2026-12-01,
// without other work. A short read is between a single record and a page of 20.
var measured = Costs{
	Machine: Machine{Processors: 2},
	Batches: Batches{
		Fixed: 3000 * time.Microsecond, Each: 385 * time.Microsecond, Largest: 128,
		Outside: 100 * time.Microsecond, Client: 60 * time.Microsecond,
	},
	Command: Cost{CPU: 630 * time.Microsecond, WAL: 8200, Storage: 4000},
	Read:    Cost{CPU: 900 * time.Microsecond, WAL: 1500, Storage: 900},
	Page:    Cost{CPU: 4060 * time.Microsecond, WAL: 1600, Storage: 1100},
}

// measuredBookings are the accepted steps of bookings in a second, by clients (omnirapeutic loadtest --scenario
// booking --clients N --duration 3s), on the same day.
var measuredBookings = map[int]float64{1: 286, 5: 797, 10: 1107, 25: 1709, 50: 1913, 100: 2296, 200: 2454, 400: 2304}

// assumed is the work of one technician's day. TestClinicMonth has 4,261 appointments of 40 technicians, 5 a
// working day. The other figures are assumptions: no public source was found.
var assumed = Day{
	Appointments: 5, Commands: 6, Reads: 20, Pages: 4, Readers: 0.5, BusiestHour: 0.2, Peak: 3, Days: 260,
}

const (
	techniciansOfPractice = 40
	// certifiedTechnicians are the Registered Behavior Technicians of July 1, 2025, in all countries
	// (Behavior Analyst Certification Board, as reported by early-childhood-education-degrees.com).
	certifiedTechnicians = 218_757
)

func main() {
	fmt.Fprintln(os.Stdout, demandTable())
	fmt.Fprintln(os.Stdout, rateTable())
}

// demandTable is the load of practices.
func demandTable() string {
	industries := []Industry{
		{"a practice of 40 technicians", 1, techniciansOfPractice},
		{"10 practices", 10, 10 * techniciansOfPractice},
		{"a chain of 2,000 technicians", 1, 2000},
		{"1,000 practices", 1000, 1000 * techniciansOfPractice},
		{"every certified technician", certifiedTechnicians / techniciansOfPractice, certifiedTechnicians},
		{"100,000 practices", 100_000, 100_000 * techniciansOfPractice},
	}
	var b strings.Builder
	b.WriteString("| | appointments a day | commands/s | reads/s | events/s | WAL, MB/s | processors | lane | growth, TB a year |\n")
	b.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, i := range industries {
		l := LoadOf(i, assumed, measured)
		fmt.Fprintf(&b, "| %s | %.0f | %.1f | %.1f | %.0f | %.2f | %.2f | %.1f %% | %.3f |\n", i.Name, l.Appointments, l.Commands,
			l.Reads, l.Events, l.WAL/mega, l.Processors, percent*l.Lane, l.Growth/tera)
	}
	return b.String()
}

// rateTable compares the model with measured rates.
func rateTable() string {
	var b strings.Builder
	b.WriteString("| clients | measured | model |\n| ---: | ---: | ---: |\n")
	for _, clients := range slices.Sorted(maps.Keys(measuredBookings)) {
		fmt.Fprintf(&b, "| %d | %.0f | %.0f |\n", clients, measuredBookings[clients],
			measured.Batches.Rate(measured.Machine, measured.Command, clients))
	}
	return b.String()
}

const (
	mega    = 1e6
	tera    = 1e12
	percent = 100
)
