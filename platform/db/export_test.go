package db

// Again reports whether the context's transaction is a retry, for tests that make only
// the retry fail.
var Again = retried
