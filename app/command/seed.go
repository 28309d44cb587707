package command

import (
	"errors"
	"fmt"

	"omnirapeutic/app"
	"omnirapeutic/config"
)

type seedCommand struct{}

// Run loads the demo practice.
func (seedCommand) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	if c.Profile == config.Production {
		return errors.New("the demo practice has published passwords and is not loaded in the production profile")
	}
	return e.withProgram(func(p *app.Program) error {
		loaded, err := p.LoadDemo(e.context)
		if err == nil && !loaded {
			fmt.Println("There are users already: nothing was loaded.")
		} else if err == nil {
			fmt.Println("The demo practice is loaded.")
		}
		return err
	})
}
