package cli

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
	return fmt.Sprintf(`Fills an empty database with two fictional practices: patients, insurances, and authorizations in
every state with their history. All users sign in with the password %s:
%s.
If the database has any user, nothing is loaded, and the exit code is still 0. The production
profile refuses the command, because the password is public.`, demo.Password, strings.Join(demo.Emails(), ", "))
}

// Run loads the demo practice.
func (seedCommand) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	if c.Profile == config.Production {
		return errors.New("the demo practice has public passwords and cannot be loaded in the production profile")
	}
	return e.withProgram(func(p *app.Program) error {
		loaded, err := p.LoadDemo(e.context)
		if err == nil && !loaded {
			fmt.Println("The database already has users: nothing was loaded.")
		} else if err == nil {
			fmt.Println("The demo practice is loaded.")
		}
		return err
	})
}
