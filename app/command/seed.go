package command

import (
	"errors"
	"fmt"
	"strings"

	"omnirapeutic/app"
	"omnirapeutic/app/demo"
	"omnirapeutic/config"
)

type seedCommand struct{}

// Help explains the command.
func (seedCommand) Help() string {
	return fmt.Sprintf(`Fills an empty database with two made-up practices: patients, insurances, and authorizations in
every state with the history that led there. Everybody signs in with the password %s:
%s.
Where there is any user already, nothing is loaded, and the exit code is 0 all the same. Refused
in the production profile: the password is published.`, demo.Password, strings.Join(demo.Emails(), ", "))
}

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
