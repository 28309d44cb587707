// Package goclient holds the Go client that oapi-codegen generates from the OpenAPI
// document during CI, to prove that it compiles. The generated file is not committed.
package goclient

import (
	_ "github.com/oapi-codegen/nullable" // needed by the generated file
	_ "github.com/oapi-codegen/runtime"
)
