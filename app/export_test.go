package app

import "reflect"

// For the tests of the contract, which are black-box in everything else.
var (
	Update      = update
	FaultsOf    = faultsOf
	StatusOf    = statusOf
	RecordedAt  = recordedAt
	ProblemType = reflect.TypeFor[problem]()
)
