// Package harness starts the program for the tests of package e2e, the only package that
// may import it. It creates practices, sends requests, and compares every answer with the
// published contract.
//
//	clinic := harness.Open(t)
//	path := clinic.Authorize(t, 20)
//	clinic.Admin().Post(t, path+"/reserve", harness.Body{"units": 4}).ReservationID(t)
//	clinic.RequireBalance(t, path, 20, 0, 4)
//
// A [Clinic] is the program with a database of its own, and an [Instance] is the program in
// another process. A [Caller] sends requests, and an [Answer] checks and reads the response.
// A function that fails ends the test.
package harness
