package e2e

import (
	"net/http"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// recordSecondFactor has the biller set up an authenticator app, sign in with it, and
// remove it.
func (s *recording) recordSecondFactor(admin harness.Caller) {
	c, t := s.c, s.t
	biller := c.As(c.Own.Tokens[rbac.Biller])
	s.record(biller, "getMySecondFactor", "None", harness.SecondFactorPath, nil)
	s.record(biller, "beginMySecondFactor", "A wrong password", harness.SecondFactorPath,
		harness.Body{"password": "wrong"})
	phone := c.ScanSecret(t,
		s.record(biller, "beginMySecondFactor", "A secret for the app", harness.SecondFactorPath,
			harness.Body{"password": harness.Password}))
	s.record(biller, "confirmMySecondFactor", "A wrong code", harness.SecondFactorPath+"/confirmation",
		harness.Body{"code": phone.WrongCode()})
	confirmed := s.record(biller, "confirmMySecondFactor", "The first code", harness.SecondFactorPath+"/confirmation",
		harness.Body{"code": phone.Code(-1)}).OK(t)
	biller = c.As(accessToken(t, confirmed))
	s.record(biller, "getMySecondFactor", "It is on", harness.SecondFactorPath, nil)
	login := harness.Body{"email": "BILLER@example.test", "password": harness.Password}
	s.record(c.As(""), "signIn", "A second factor is required", "/auth/login", login)
	s.record(c.As(""), "signIn", "A wrong code", "/auth/login",
		harness.Body{"email": login["email"], "password": harness.Password, "code": phone.WrongCode()})
	s.record(c.As(""), "signIn", "With a second factor", "/auth/login",
		harness.Body{"email": login["email"], "password": harness.Password, "code": phone.Code(0)}).OK(t)
	codes := harness.RecoveryCodes(t, s.record(biller, "renewMyRecoveryCodes", "Another set",
		harness.SecondFactorPath+"/recovery-codes",
		harness.Body{"password": harness.Password, "code": phone.Code(1)}))
	s.record(biller, "turnMySecondFactorOff", "Another telephone", harness.SecondFactorPath+"/off",
		harness.Body{"password": harness.Password, "code": codes[0]})
	s.record(biller, "turnMySecondFactorOff", "There is none", harness.SecondFactorPath+"/off",
		harness.Body{"password": harness.Password, "code": codes[1]})

	s.record(admin, "getSignInPolicy", "Passwords will do", policyPath, nil)
	s.record(admin, "setSignInPolicy", "Require a second factor of all users", policyPath,
		harness.Body{"secondFactorRequired": true})
	s.record(c.As(""), "signIn", "A second factor must be set up", "/auth/login", login).OK(t)
	biller = c.As(c.As("").Post(t, "/auth/login", login).OK(t).Text("accessToken"))
	s.record(biller, "whoAmI", "A user who must set up a second factor", "/auth/me", nil)
	s.record(biller, "listPatients", "Nothing before that", "/patients", nil).
		Refused(t, http.StatusForbidden, "second-factor-missing")
	c.Enrol(t, biller)
	user := c.UserWithRole(t, admin, rbac.Biller) + "/second-factor"
	s.record(admin, "takeSecondFactor", "A lost phone and lost codes", user, nil)
	s.record(admin, "takeSecondFactor", "Already removed", user, nil)
	s.record(admin, "setSignInPolicy", "Passwords are sufficient again", policyPath,
		harness.Body{"secondFactorRequired": false})
}
