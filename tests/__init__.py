"""The test suite. `tests.support` holds what all of it shares."""
