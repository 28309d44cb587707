// Package docs embeds the documents that the program serves as guides of the API.
package docs

import "embed"

// Guides has the documents about the API.
//
//go:embed api.md errors.md roles.md scopes.md sessions.md frontend/README.md
var Guides embed.FS
