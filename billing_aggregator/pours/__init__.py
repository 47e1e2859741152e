"""From the ledger's pours to what each row of a property threw: resolution, reviews, reconciliation.

    usage.read_usage(door, snapshot, period, decisions, pinned=None) -> PropertyUsage    from raw entries: the recount
    usage.read_daily_usage(door, snapshot, period, decisions) -> PropertyUsage           from the usage per day
    annex.read_own_pours(door, snapshot, period, decisions, pinned=None) -> dict[row, tuple[OwnPour, ...]]

`period`: the local days (`DayRange`). `pinned`: the PropertyUsage of a run that is to be repeated: the same entries (up
to its position), and the same word on what was missing.
"""
