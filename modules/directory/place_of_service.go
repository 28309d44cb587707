package directory

import (
	"slices"
	"time"

	"omnirapeutic/platform/calendar"
)

// PlaceOfService is a code for the setting of a service on a professional claim.
type PlaceOfService struct {
	Code     string
	Name     string
	StartsOn calendar.Date // the first service date; zero: the code set names none
	EndsOn   calendar.Date // the last service date; zero: no end is known
}

// InForce reports whether the code can be used for services of the day.
func (p PlaceOfService) InForce(on calendar.Date) bool {
	return !on.Before(p.StartsOn) && (p.EndsOn.IsZero() || !on.After(p.EndsOn))
}

// PlacesOfService returns the place-of-service codes that are in force on the day, sorted by code.
func PlacesOfService(on calendar.Date) []PlaceOfService {
	return slices.DeleteFunc(slices.Clone(placesOfService), func(p PlaceOfService) bool { return !p.InForce(on) })
}

// PlaceOfServiceInForce reports whether the code exists and is in force on the day.
func PlaceOfServiceInForce(code string, on calendar.Date) bool {
	return slices.ContainsFunc(placesOfService, func(p PlaceOfService) bool { return p.Code == code && p.InForce(on) })
}

// since returns the first day of a month. CMS lets codes begin on no other.
func since(year int, month time.Month) calendar.Date { return calendar.NewDate(year, month, 1) }

// placesOfService is the code set of CMS, sorted by code: CMS, "Place of Service Codes for
// Professional Claims", database updated May 2, 2024, and Medicare Claims Processing Manual, chapter
// 26, 10.5. The first days are the effective dates in these descriptions, such as "(effective 10/1/03)" of
// codes 49 and 57. CMS gives the date on which code 16 began as January 1, 2008; Medicare took it from April
// 1, 2008 on. Codes without a first day are older than the dates that CMS gives. A code that CMS
// ends stays here with its last day.
var placesOfService = []PlaceOfService{
	{Code: "01", Name: "Pharmacy", StartsOn: since(2003, time.October)},
	{Code: "02", Name: "Telehealth Provided Other than in Patient's Home", StartsOn: since(2017, time.January)},
	{Code: "03", Name: "School", StartsOn: since(2003, time.January)},
	{Code: "04", Name: "Homeless Shelter", StartsOn: since(2003, time.January)},
	{Code: "05", Name: "Indian Health Service Free-standing Facility", StartsOn: since(2003, time.January)},
	{Code: "06", Name: "Indian Health Service Provider-based Facility", StartsOn: since(2003, time.January)},
	{Code: "07", Name: "Tribal 638 Free-standing Facility", StartsOn: since(2003, time.January)},
	{Code: "08", Name: "Tribal 638 Provider-based Facility", StartsOn: since(2003, time.January)},
	{Code: "09", Name: "Prison/Correctional Facility", StartsOn: since(2006, time.July)},
	{Code: "10", Name: "Telehealth Provided in Patient's Home", StartsOn: since(2022, time.January)},
	{Code: "11", Name: "Office"},
	{Code: "12", Name: "Home"},
	{Code: "13", Name: "Assisted Living Facility", StartsOn: since(2003, time.October)},
	{Code: "14", Name: "Group Home", StartsOn: since(2003, time.October)},
	{Code: "15", Name: "Mobile Unit", StartsOn: since(2003, time.January)},
	{Code: "16", Name: "Temporary Lodging", StartsOn: since(2008, time.January)},
	{Code: "17", Name: "Walk-in Retail Health Clinic", StartsOn: since(2010, time.May)},
	{Code: "18", Name: "Place of Employment-Worksite", StartsOn: since(2013, time.January)},
	{Code: "19", Name: "Off Campus-Outpatient Hospital", StartsOn: since(2016, time.January)},
	{Code: "20", Name: "Urgent Care Facility", StartsOn: since(2003, time.January)},
	{Code: "21", Name: "Inpatient Hospital"},
	{Code: "22", Name: "On Campus-Outpatient Hospital"},
	{Code: "23", Name: "Emergency Room - Hospital"},
	{Code: "24", Name: "Ambulatory Surgical Center"},
	{Code: "25", Name: "Birthing Center"},
	{Code: "26", Name: "Military Treatment Facility"},
	{Code: "27", Name: "Outreach Site/Street", StartsOn: since(2023, time.October)},
	{Code: "31", Name: "Skilled Nursing Facility"},
	{Code: "32", Name: "Nursing Facility"},
	{Code: "33", Name: "Custodial Care Facility"},
	{Code: "34", Name: "Hospice"},
	{Code: "41", Name: "Ambulance - Land"},
	{Code: "42", Name: "Ambulance - Air or Water"},
	{Code: "49", Name: "Independent Clinic", StartsOn: since(2003, time.October)},
	{Code: "50", Name: "Federally Qualified Health Center"},
	{Code: "51", Name: "Inpatient Psychiatric Facility"},
	{Code: "52", Name: "Psychiatric Facility-Partial Hospitalization"},
	{Code: "53", Name: "Community Mental Health Center"},
	{Code: "54", Name: "Intermediate Care Facility/Individuals with Intellectual Disabilities"},
	{Code: "55", Name: "Residential Substance Abuse Treatment Facility"},
	{Code: "56", Name: "Psychiatric Residential Treatment Center"},
	{Code: "57", Name: "Non-residential Substance Abuse Treatment Facility", StartsOn: since(2003, time.October)},
	{Code: "58", Name: "Non-residential Opioid Treatment Facility", StartsOn: since(2020, time.January)},
	{Code: "60", Name: "Mass Immunization Center"},
	{Code: "61", Name: "Comprehensive Inpatient Rehabilitation Facility"},
	{Code: "62", Name: "Comprehensive Outpatient Rehabilitation Facility"},
	{Code: "65", Name: "End-Stage Renal Disease Treatment Facility"},
	{
		Code: "66", Name: "Programs of All-Inclusive Care for the Elderly (PACE) Center",
		StartsOn: since(2024, time.August),
	},
	{Code: "71", Name: "Public Health Clinic"},
	{Code: "72", Name: "Rural Health Clinic"},
	{Code: "81", Name: "Independent Laboratory"},
	{Code: "99", Name: "Other Place of Service"},
}

// usualPlacesOfService are the usual codes of the kinds of locations. Telehealth is usually received
// at home.
var usualPlacesOfService = map[LocationKind]string{Home: "12", Clinic: "11", School: "03", Telehealth: "10"}
