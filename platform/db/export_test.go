package db

// Again reports whether the context's transaction is not the first attempt, for
// tests that make only that one fail.
var Again = retried
