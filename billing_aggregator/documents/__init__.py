"""What people get to read of a run: statements per party, the overview of a property, CSV and JSON.

    revision, names, own pours ──▶ content ──▶ wording (de, en) ──▶ typesetting ──▶ files
                                   exact       text               PDF bytes

`content` holds exact values and says nothing in words; `wording` makes each figure and sentence of a page from it;
`typesetting` places them and computes nothing.
"""
