package directory

// PostalAddressBody is a postal address in the United States.
type PostalAddressBody struct {
	Line1 string  `json:"line1" validate:"required,max=55,text"`      // The street and the number.
	Line2 *string `json:"line2" validate:"omitempty,max=55,text"`     // An apartment or a suite.
	City  string  `json:"city" validate:"required,min=2,max=30,text"` // The city.
	State string  `json:"state" validate:"required,len=2,text"`       // The two letters of the state, such as `NY`.
	Zip   string  `json:"zip" validate:"required,min=5,max=10,text"`  // The ZIP code of five or nine digits.
}

func postalAddressOf(b *PostalAddressBody) PostalAddress {
	if b == nil {
		return PostalAddress{}
	}
	a := PostalAddress{Line1: b.Line1, City: b.City, State: b.State, Zip: b.Zip}
	if b.Line2 != nil {
		a.Line2 = *b.Line2
	}
	return a
}

// postalAddressBodyOf returns the address, or nil if it is unknown.
func postalAddressBodyOf(a PostalAddress) *PostalAddressBody {
	if a.IsZero() {
		return nil
	}
	b := PostalAddressBody{Line1: a.Line1, City: a.City, State: a.State, Zip: a.Zip}
	if a.Line2 != "" {
		b.Line2 = &a.Line2
	}
	return &b
}
