"""The machine that the agent runs on: how it is doing, what is wrong with it, and what the agent then does less of."""
