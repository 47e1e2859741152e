"""`edge-agent doctor`: figures are taken first, verdicts follow from them by pure functions, one finding for each."""
