"""Divides a given total among parties. Pure functions on integers and fractions: no I/O, no clock, no randomness.

    weights ──▶ allocation ──▶ rounding ──▶ apportionment            AllocationInput -> Allocation
    substitutes ──▶ apportionment                                    what a register counted and no record names
    cap ──▶ apportionment, deadlines                                 § 556 (3) BGB, after the allocation

The shares of each pool sum to its total, to the cent, always; cents and millilitres are rounded in `apportionment`,
`rounding` and the minimum's floor, nowhere else.
"""
