package main

import "time"

// Machine is a primary: the program and PostgreSQL on one machine.
type Machine struct {
	Processors int
}

// Cost is the measured cost of one kind of request, with the program, PostgreSQL and the work that
// follows a request (events, seals) included.
type Cost struct {
	CPU     time.Duration // of the program and of PostgreSQL together
	WAL     int           // bytes
	Storage int           // bytes of tables and indexes that stay
}

// Batches is the time that a batch of commands needs. One batch runs at a time, so this is the share
// of the work that more processors do not speed up.
type Batches struct {
	Fixed   time.Duration // of a batch of any size
	Each    time.Duration // of each command
	Largest int           // commands in a batch
	Outside time.Duration // of a request before and after its batch: HTTP, and the client
	Client  time.Duration // CPU of the client, if it runs on the same machine
}

// Rate returns the commands per second of clients that wait for each answer before they send the next
// command. A command waits for half of the running batch, on average, and then for its own.
// The commands that arrive during a batch form the next one. The processors limit the rate.
func (b Batches) Rate(m Machine, c Cost, clients int) float64 {
	batch := 1.0 // commands in a batch
	for range settled {
		running := b.seconds(batch)
		waiting := 0.5 * running
		if clients == 1 {
			waiting = 0
		}
		arriving := float64(clients) * running / (waiting + running + b.Outside.Seconds())
		batch = (batch + min(max(1, arriving), float64(b.Largest))) / 2
	}
	byBatches := batch / b.seconds(batch)
	if clients == 1 {
		byBatches = 1 / (b.seconds(1) + b.Outside.Seconds())
	}
	return min(byBatches, float64(m.Processors)/(c.CPU+b.Client).Seconds())
}

// settled is a number of steps after which the size of the batches no longer changes.
const settled = 200

// Most returns the commands per second of batches of the largest size, if processors were unlimited.
func (b Batches) Most() float64 { return float64(b.Largest) / b.seconds(float64(b.Largest)) }

func (b Batches) seconds(commands float64) float64 {
	return b.Fixed.Seconds() + commands*b.Each.Seconds()
}
