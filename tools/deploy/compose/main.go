// Compose checks a compose file without Docker: the file must match the schema of the compose specification, each
// service of the program must be hardened, and each file that it names must be in its folder.
//
//	go run -C tools/deploy ./compose ../../deploy/container/compose.yaml
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	if len(os.Args) != 2 { //nolint:mnd // the program and the file
		fmt.Fprintln(os.Stderr, "usage: compose FILE")
		os.Exit(2) //nolint:mnd // as for other commands
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// check returns all faults of the file.
func check(path string) error {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return err
	}
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir: dir, ConfigFiles: []types.ConfigFile{{Filename: path}}, Environment: types.Mapping{},
	})
	if err != nil {
		return err
	}
	var faults []error
	own := 0
	for name, s := range project.Services {
		if strings.Contains(s.Image, "omnirapeutic") {
			own++
			faults = append(faults, checkProgram(name, s))
		}
		for _, v := range s.Volumes {
			if _, err := os.Stat(v.Source); v.Type == types.VolumeTypeBind && err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", name, err))
			}
		}
	}
	if own != 2 { //nolint:mnd // see the message
		faults = append(faults, errors.New("the program serves in one service and migrates in another"))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	fmt.Println(len(project.Services), "services are valid")
	return nil
}

// checkProgram checks a service of the program: not root, a read-only root, no privileges.
func checkProgram(name string, s types.ServiceConfig) error {
	if s.User != "65532:65532" || !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") ||
		!slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		return fmt.Errorf("%s: it has privileges", name)
	}
	for _, p := range s.Ports {
		if p.HostIP != "127.0.0.1" {
			return fmt.Errorf("%s: other machines can reach it without a proxy", name)
		}
	}
	return nil
}
