// Package e2e tests the whole program over HTTP, on real databases and, where a test
// stops or kills it, in processes of its own. It has tests only.
//
// The name of a file begins with its subject: access (who may do what), appointments,
// authorization (units and their ledger), audit, contract (the API's form), events,
// faults (failures of databases, networks and processes) and operations. Package harness
// starts the program, creates practices and sends requests.
package e2e
