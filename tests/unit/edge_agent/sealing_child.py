"""Seals one page after another and says each page's last sequence number when it is safe; until it is killed."""

import sys
from itertools import count
from pathlib import Path

from tests.unit.edge_agent.gateway import make_spool, visit


def main() -> None:
    spool = make_spool(Path(sys.argv[1]))
    spool.start()
    for seq in count(int(sys.argv[2]), 3):
        spool.seal(visit(seq=seq, count=3))
        print(seq + 2, flush=True)


if __name__ == "__main__":
    main()
