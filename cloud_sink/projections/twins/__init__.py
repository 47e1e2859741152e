"""Living twins of the waste locks: made of the ledger, of what gateways report and of what people decide."""
