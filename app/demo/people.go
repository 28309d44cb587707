package demo

import (
	"fmt"
	"time"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/scheduling"
)

// The clinic's people who are in no scenario. All names are invented.
var (
	analysts = []string{"Dana Rivera", "Elena Novak", "Femi Adeyemi", "Grace Kim"}

	assistants = []string{"Hugo Marsh"}

	technicians = []string{
		"Ines Duarte", "Jonas Weber", "Keisha Brown", "Liam Walsh", "Mina Park", "Noah Fischer", "Olive Grant", "Pedro Alves",
		"Queenie Hart", "Ravi Menon", "Sofia Rossi", "Theo Laurent", "Uma Iyer", "Victor Hale", "Wendy Cho", "Yusuf Demir",
	}

	patientNames = []string{
		"Quinn Sample", "Riley Archer", "Sage Bennett", "Tatum Clarke", "Emery Diaz", "Finley Ellis", "Gray Foster",
		"Harley Gomez",
		"Indigo Hayes", "Jules Irving", "Kai Jensen", "Lane Khan", "Micah Lopez", "Noel Mbeki", "Oakley Nguyen",
		"Parker Olsen",
		"Reese Patel", "River Quist", "Rowan Reyes", "Skyler Shah", "Sasha Tanaka", "Teagan Usman", "Toby Vargas",
		"Val Winter",
		"Wren Xu", "Winter Young", "Zion Abara", "Ari Bloom", "Bailey Costa", "Cameron Dube", "Dakota Evans", "Drew Farah",
		"Eden Gallo", "Ellis Horvat", "Frankie Ito", "Hollis Jain", "Jamie Kovac",
	}
)

// payers are the demo's payers. Each has another rounding rule, and their weeks start
// on different days.
var payers = []directory.NewPayer{
	{Name: "Example Health Plan", PayerCode: new("EHP01"), ClaimFilingCode: new("CI"), Rounding: scheduling.RoundMidpoint},
	{
		Name: "Example State Medicaid", PayerCode: new("ESM02"), ClaimFilingCode: new("MC"), Rounding: scheduling.RoundDown,
		WeekStartsOn: "MONDAY", SupervisedCredentials: []string{"BCaBA", "RBT"},
	},
	{
		Name: "Example Federal Plan", PayerCode: new("EFP03"), ClaimFilingCode: new("CH"), Rounding: scheduling.RoundCMSTotal,
		WeekStartsOn: "SATURDAY",
	},
}

// credentialed returns the staff to create. Technicians' credentials expire at
// different times; two of them within the next two months.
func (p Practice) credentialed() []directory.NewPractitioner {
	today := calendar.DateIn(p.Now, time.UTC)
	all := []directory.NewPractitioner{
		{
			FirstName:     "Bea",
			LastName:      "Analyst",
			LicenseNumber: new("NY-BCBA-1001"),
			Credentials:   []directory.CredentialBody{{Code: "BCBA"}},
		},
		{
			FirstName:     "Carl",
			LastName:      "Assistant",
			LicenseNumber: new("NY-BCABA-2002"),
			Credentials:   []directory.CredentialBody{{Code: "BCaBA"}},
		},
		{
			FirstName:   "Tom",
			LastName:    "Technician",
			Credentials: []directory.CredentialBody{{Code: "RBT", ExpiresOn: today.AddDays(200)}},
		},
		{
			FirstName:   "Rita",
			LastName:    "Technician",
			Credentials: []directory.CredentialBody{{Code: "RBT", ExpiresOn: today.AddDays(45)}},
		},
	}
	add := func(code, license string, names []string) {
		for i, name := range names {
			n := directory.NewPractitioner{Credentials: []directory.CredentialBody{{Code: code}}}
			n.FirstName, n.LastName = split(name)
			if license != "" {
				n.LicenseNumber = new(fmt.Sprintf(license, i+11))
			} else {
				n.Credentials[0].ExpiresOn = today.AddDays(50 + 20*i)
			}
			all = append(all, n)
		}
	}
	add("BCBA", "NY-BCBA-10%d", analysts)
	add("BCaBA", "NY-BCABA-20%d", assistants)
	add("RBT", "", technicians)
	return all
}

// children returns the patients to create: three of the scenarios, then the clinic's.
func children() []directory.NewPatient {
	all := []directory.NewPatient{
		{FirstName: "Avery", LastName: "Sample", DateOfBirth: calendar.NewDate(2019, time.March, 14)},
		{FirstName: "Blake", LastName: "Specimen", DateOfBirth: calendar.NewDate(2017, time.August, 2)},
		{FirstName: "Casey", LastName: "Instance", DateOfBirth: calendar.NewDate(2020, time.December, 30)},
	}
	for i, name := range patientNames {
		n := directory.NewPatient{DateOfBirth: calendar.NewDate(2013+i%9, time.Month(1+i*5%12), 1+i*7%28)}
		n.FirstName, n.LastName = split(name)
		all = append(all, n)
	}
	for i := range all {
		all[i].Sex = new([]directory.Sex{directory.Female, directory.Male}[i%2])
		all[i].Address = &directory.PostalAddressBody{
			Line1: fmt.Sprintf("%d Elm Street", i+1), City: "New York", State: "NY", Zip: "10001",
		}
		all[i].MedicalRecordNumber = new(fmt.Sprintf("MRN-%04d", i+1))
	}
	return all
}

// split returns the first and the last name.
func split(name string) (first, last string) {
	if _, err := fmt.Sscan(name, &first, &last); err != nil {
		panic(err) // every name above has two words
	}
	return first, last
}
