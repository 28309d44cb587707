package main

// Industry is a number of technicians, who share practices of equal size.
type Industry struct {
	Name        string
	Practices   int
	Technicians int // of all practices
}

// Day is what one technician causes on a working day, on average, together with the schedulers,
// supervisors and billers of the practice.
type Day struct {
	Appointments float64
	Commands     float64 // for each appointment: book, start, complete, note, sign, and changes
	Reads        float64 // of a record or a short list, for each appointment
	Pages        float64 // of 200 records, for each appointment: calendars and reports
	Readers      float64 // apps that receive each event, for each technician of a practice
	BusiestHour  float64 // share of the day's requests
	Peak         float64 // the busiest minute against the average of its hour
	Days         int     // in a year
}

// Costs are the measured costs.
type Costs struct {
	Machine Machine
	Batches Batches // of commands on appointments
	Command Cost
	Read    Cost
	Page    Cost
}

// Load is the load of an industry in its busiest minute, and its growth.
type Load struct {
	Appointments float64 // a day
	Commands     float64 // a second
	Reads        float64 // a second, pages included
	Events       float64 // a second, to all listeners
	WAL          float64 // bytes a second
	Processors   float64 // busy ones
	Lane         float64 // share of the time in which a batch of the largest size would run
	Growth       float64 // bytes a year
}

// LoadOf returns the load of an industry.
func LoadOf(i Industry, d Day, c Costs) Load {
	appointments := float64(i.Technicians) * d.Appointments
	perSecond := appointments * d.BusiestHour * d.Peak / secondsOfHour
	l := Load{
		Appointments: appointments,
		Commands:     perSecond * d.Commands,
		Reads:        perSecond * (d.Reads + d.Pages),
	}
	technicians := float64(i.Technicians) / float64(i.Practices)
	l.Events = l.Commands * technicians * d.Readers
	l.WAL = l.Commands*float64(c.Command.WAL) + perSecond*(d.Reads*float64(c.Read.WAL)+d.Pages*float64(c.Page.WAL))
	l.Processors = l.Commands*c.Command.CPU.Seconds() +
		perSecond*(d.Reads*c.Read.CPU.Seconds()+d.Pages*c.Page.CPU.Seconds())
	l.Lane = l.Commands / c.Batches.Most()
	l.Growth = appointments * float64(d.Days) *
		(d.Commands*float64(c.Command.Storage) + d.Reads*float64(c.Read.Storage) + d.Pages*float64(c.Page.Storage))
	return l
}

const secondsOfHour = 3600
