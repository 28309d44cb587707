// Omnirapeutic is a backend for ABA-therapy practices that keeps authorized
// units exact. Run without arguments it serves; --help tells the rest.
package main

import (
	"os"
	_ "time/tzdata" // time zones also where the machine has none

	"omnirapeutic/app/command"
)

func main() { os.Exit(command.Main()) }
