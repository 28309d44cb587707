package directory

// PostalAddress is a postal address in the United States. The zero value is unknown.
type PostalAddress struct {
	Line1 string
	Line2 string
	City  string
	State string // two letters
	Zip   string // five or nine digits, without a dash
}

// IsZero reports whether the address is unknown.
func (a PostalAddress) IsZero() bool { return a == PostalAddress{} }
