"""A second vendor's controllers against the real agent: does the agent rest on the written map alone?"""
