package pgurl

import "net/url"

// ChangedPassword returns the password of the second URL if nothing else differs from the first. It supports URLs,
// not lists of keywords and values.
func ChangedPassword(before, after string) (password string, only bool) {
	old, oldRest, okOld := split(before)
	password, rest, ok := split(after)
	return password, ok && okOld && rest == oldRest && password != old
}

// split returns the password of a URL, and the URL without it.
func split(text string) (password, rest string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.User == nil || u.Query().Has("password") {
		return "", "", false
	}
	password, ok = u.User.Password()
	u.User = url.User(u.User.Username())
	return password, u.String(), ok
}
