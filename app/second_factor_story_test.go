package app_test

import (
	"net/http"

	"omnirapeutic/modules/rbac"
)

// playSecondFactor has the biller set up an authenticator app, sign in with it, and do
// without it again.
func (s *story) playSecondFactor(admin caller) {
	c, t := s.c, s.t
	biller := c.as(c.own.tokens[rbac.Biller])
	s.tell(biller, "getMySecondFactor", "None", factorPath, nil)
	s.tell(biller, "beginMySecondFactor", "It is not the password", factorPath, body{"password": "wrong"})
	phone := c.scan(t, s.tell(biller, "beginMySecondFactor", "A secret for the app", factorPath, body{"password": password}))
	s.tell(biller, "confirmMySecondFactor", "A wrong code", factorPath+"/confirmation", body{"code": phone.wrong()})
	confirmed := s.tell(biller, "confirmMySecondFactor", "The first code", factorPath+"/confirmation", body{"code": phone.code(-1)}).ok(t)
	biller = c.as(accessToken(t, confirmed))
	s.tell(biller, "getMySecondFactor", "It is on", factorPath, nil)
	login := body{"email": "BILLER@example.test", "password": password}
	s.tell(c.as(""), "signIn", "A second factor is asked for", "/auth/login", login)
	s.tell(c.as(""), "signIn", "A wrong code", "/auth/login", body{"email": login["email"], "password": password, "code": phone.wrong()})
	s.tell(c.as(""), "signIn", "With a second factor", "/auth/login", body{"email": login["email"], "password": password, "code": phone.code(0)}).ok(t)
	codes := recoveryCodesIn(t, s.tell(biller, "renewMyRecoveryCodes", "Another set", factorPath+"/recovery-codes", body{"password": password, "code": phone.code(1)}))
	s.tell(biller, "turnMySecondFactorOff", "Another telephone", factorPath+"/off", body{"password": password, "code": codes[0]})
	s.tell(biller, "turnMySecondFactorOff", "There is none", factorPath+"/off", body{"password": password, "code": codes[1]})

	s.tell(admin, "getSignInPolicy", "Passwords will do", policyPath, nil)
	s.tell(admin, "setSignInPolicy", "A second factor for everybody", policyPath, body{"secondFactorRequired": true})
	s.tell(c.as(""), "signIn", "A second factor is to be set up", "/auth/login", login).ok(t)
	biller = c.as(c.as("").post(t, "/auth/login", login).ok(t).text("accessToken"))
	s.tell(biller, "whoAmI", "Somebody who must set up a second factor", "/auth/me", nil)
	s.tell(biller, "listPatients", "Nothing before that", "/patients", nil).refused(t, http.StatusForbidden, "second-factor-missing")
	c.enrol(t, biller)
	user := c.userWith(t, admin, rbac.Biller) + "/second-factor"
	s.tell(admin, "takeSecondFactor", "Telephone and codes are lost", user, nil)
	s.tell(admin, "takeSecondFactor", "There is none any more", user, nil)
	s.tell(admin, "setSignInPolicy", "Passwords will do again", policyPath, body{"secondFactorRequired": false})
}
