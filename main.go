// Omnirapeutic is a backend for ABA-therapy practices that keeps authorized
// units exact. Run without arguments it serves; --help lists the commands.
package main

import (
	"os"
	_ "time/tzdata" // time zones also where the machine has none

	"omnirapeutic/app/cli"
)

func main() { os.Exit(cli.Main()) }
