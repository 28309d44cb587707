// Sbom makes a document of cyclonedx-gomod reproducible: it removes the time, and the checksums of the tool itself,
// which depend on the machine that built it. It reads standard input and writes standard output.
//
//	go -C tools/deploy tool cyclonedx-gomod bin -json -noserial -version v1.2.3 PROGRAM | go run -C tools/deploy ./sbom
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := convert(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// convert copies the document without its time and the checksums of the tool.
func convert(in io.Reader, out io.Writer) error {
	var document map[string]any
	if err := json.NewDecoder(in).Decode(&document); err != nil {
		return err
	}
	metadata, ok := document["metadata"].(map[string]any)
	components, _ := document["components"].([]any)
	if !ok || document["bomFormat"] != "CycloneDX" || len(components) == 0 {
		return errors.New("this is not a CycloneDX document with components")
	}
	delete(metadata, "timestamp")
	removeHashes(metadata["tools"])
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document) // the members of maps are sorted
}

// removeHashes removes the checksums at all levels.
func removeHashes(value any) {
	switch v := value.(type) {
	case map[string]any:
		delete(v, "hashes")
		for _, member := range v {
			removeHashes(member)
		}
	case []any:
		for _, element := range v {
			removeHashes(element)
		}
	}
}
