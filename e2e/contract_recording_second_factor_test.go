package e2e

import (
	"net/http"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// playSecondFactor has the biller set up an authenticator app, sign in with it, and
// remove it.
func (s *story) playSecondFactor(admin harness.Caller) {
	c, t := s.c, s.t
	biller := c.As(c.Own.Tokens[rbac.Biller])
	s.tell(biller, "getMySecondFactor", "None", harness.SecondFactorPath, nil)
	s.tell(biller, "beginMySecondFactor", "A wrong password", harness.SecondFactorPath, harness.Body{"password": "wrong"})
	phone := c.ScanSecret(t,
		s.tell(biller, "beginMySecondFactor", "A secret for the app", harness.SecondFactorPath,
			harness.Body{"password": harness.Password}))
	s.tell(biller, "confirmMySecondFactor", "A wrong code", harness.SecondFactorPath+"/confirmation",
		harness.Body{"code": phone.WrongCode()})
	confirmed := s.tell(biller, "confirmMySecondFactor", "The first code", harness.SecondFactorPath+"/confirmation",
		harness.Body{"code": phone.Code(-1)}).OK(t)
	biller = c.As(accessToken(t, confirmed))
	s.tell(biller, "getMySecondFactor", "It is on", harness.SecondFactorPath, nil)
	login := harness.Body{"email": "BILLER@example.test", "password": harness.Password}
	s.tell(c.As(""), "signIn", "A second factor is required", "/auth/login", login)
	s.tell(c.As(""), "signIn", "A wrong code", "/auth/login",
		harness.Body{"email": login["email"], "password": harness.Password, "code": phone.WrongCode()})
	s.tell(c.As(""), "signIn", "With a second factor", "/auth/login",
		harness.Body{"email": login["email"], "password": harness.Password, "code": phone.Code(0)}).OK(t)
	codes := harness.RecoveryCodes(t, s.tell(biller, "renewMyRecoveryCodes", "Another set",
		harness.SecondFactorPath+"/recovery-codes",
		harness.Body{"password": harness.Password, "code": phone.Code(1)}))
	s.tell(biller, "turnMySecondFactorOff", "Another telephone", harness.SecondFactorPath+"/off",
		harness.Body{"password": harness.Password, "code": codes[0]})
	s.tell(biller, "turnMySecondFactorOff", "There is none", harness.SecondFactorPath+"/off",
		harness.Body{"password": harness.Password, "code": codes[1]})

	s.tell(admin, "getSignInPolicy", "Passwords will do", policyPath, nil)
	s.tell(admin, "setSignInPolicy", "Require a second factor of all users", policyPath,
		harness.Body{"secondFactorRequired": true})
	s.tell(c.As(""), "signIn", "A second factor must be set up", "/auth/login", login).OK(t)
	biller = c.As(c.As("").Post(t, "/auth/login", login).OK(t).Text("accessToken"))
	s.tell(biller, "whoAmI", "A user who must set up a second factor", "/auth/me", nil)
	s.tell(biller, "listPatients", "Nothing before that", "/patients", nil).
		Refused(t, http.StatusForbidden, "second-factor-missing")
	c.Enrol(t, biller)
	user := c.UserWithRole(t, admin, rbac.Biller) + "/second-factor"
	s.tell(admin, "takeSecondFactor", "A lost phone and lost codes", user, nil)
	s.tell(admin, "takeSecondFactor", "Already removed", user, nil)
	s.tell(admin, "setSignInPolicy", "Passwords are sufficient again", policyPath,
		harness.Body{"secondFactorRequired": false})
}
