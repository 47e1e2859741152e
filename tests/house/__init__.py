"""Checks that a machine can make of the house's rules. `tests/test_house.py` applies them to the whole tree.

Each check takes sources or texts and returns findings, one sentence each; none means that the rule is kept.
"""
