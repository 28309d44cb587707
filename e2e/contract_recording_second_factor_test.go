package e2e

import (
	"net/http"

	"omnirapeutic/modules/rbac"
)

// playSecondFactor has the biller set up an authenticator app, sign in with it, and
// remove it.
func (s *story) playSecondFactor(admin caller) {
	c, t := s.c, s.t
	biller := c.as(c.own.tokens[rbac.Biller])
	s.tell(biller, "getMySecondFactor", "None", factorPath, nil)
	s.tell(biller, "beginMySecondFactor", "A wrong password", factorPath, body{"password": "wrong"})
	phone := c.scan(t,
		s.tell(biller, "beginMySecondFactor", "A secret for the app", factorPath, body{"password": password}))
	s.tell(biller, "confirmMySecondFactor", "A wrong code", factorPath+"/confirmation", body{"code": phone.wrong()})
	confirmed := s.tell(biller, "confirmMySecondFactor", "The first code", factorPath+"/confirmation",
		body{"code": phone.code(-1)}).ok(t)
	biller = c.as(accessToken(t, confirmed))
	s.tell(biller, "getMySecondFactor", "It is on", factorPath, nil)
	login := body{"email": "BILLER@example.test", "password": password}
	s.tell(c.as(""), "signIn", "A second factor is required", "/auth/login", login)
	s.tell(c.as(""), "signIn", "A wrong code", "/auth/login",
		body{"email": login["email"], "password": password, "code": phone.wrong()})
	s.tell(c.as(""), "signIn", "With a second factor", "/auth/login",
		body{"email": login["email"], "password": password, "code": phone.code(0)}).ok(t)
	codes := recoveryCodesIn(t, s.tell(biller, "renewMyRecoveryCodes", "Another set", factorPath+"/recovery-codes",
		body{"password": password, "code": phone.code(1)}))
	s.tell(biller, "turnMySecondFactorOff", "Another telephone", factorPath+"/off",
		body{"password": password, "code": codes[0]})
	s.tell(biller, "turnMySecondFactorOff", "There is none", factorPath+"/off",
		body{"password": password, "code": codes[1]})

	s.tell(admin, "getSignInPolicy", "Passwords will do", policyPath, nil)
	s.tell(admin, "setSignInPolicy", "Require a second factor of all users", policyPath,
		body{"secondFactorRequired": true})
	s.tell(c.as(""), "signIn", "A second factor must be set up", "/auth/login", login).ok(t)
	biller = c.as(c.as("").post(t, "/auth/login", login).ok(t).text("accessToken"))
	s.tell(biller, "whoAmI", "A user who must set up a second factor", "/auth/me", nil)
	s.tell(biller, "listPatients", "Nothing before that", "/patients", nil).
		refused(t, http.StatusForbidden, "second-factor-missing")
	c.enrol(t, biller)
	user := c.userWith(t, admin, rbac.Biller) + "/second-factor"
	s.tell(admin, "takeSecondFactor", "A lost phone and lost codes", user, nil)
	s.tell(admin, "takeSecondFactor", "Already removed", user, nil)
	s.tell(admin, "setSignInPolicy", "Passwords are sufficient again", policyPath, body{"secondFactorRequired": false})
}
