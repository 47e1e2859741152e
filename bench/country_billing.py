"""An automatic run over 17,500 properties, as `automatic_billing` has it: 700,000 households, 110 million pours.

Takes most of an hour and 15 GB of disk, so it is run only where it is asked for by name.
"""

from bench.automatic_billing import COUNTRY, run_properties
from bench.table import Row
from bench.workplace import Workplace


def run(place: Workplace) -> list[Row]:
    return run_properties(place, place.pick(COUNTRY, 60))
