package mfa

import "time"

// CodeAt returns the code of an authenticator app with the given secret.
func CodeAt(secret string, at time.Time) string {
	raw, err := base32Text.DecodeString(secret)
	if err != nil {
		panic(err)
	}
	return totpSecret(raw).code(stepAt(at), codeDigits)
}
