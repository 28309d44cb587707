package rbac

// parseEmail returns an e-mail address in the form in which addresses are stored and compared. It lower-cases
// A to Z and changes nothing else: it trims no spaces and folds no other letters, because "adm\u0130n@demo.test"
// and "admin@demo.test" are different people. ok is false for anything but an ASCII e-mail address of at most
// 254 bytes.
func parseEmail(text string) (address string, ok bool) {
	if len(text) > maxEmail {
		return "", false
	}
	lower := []byte(text)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + ('a' - 'A')
		}
	}
	address = string(lower)
	if !isEmail(address) {
		return "", false
	}
	return address, true
}
