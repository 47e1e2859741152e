"""The baseline for a resting gateway: pymodbus's synchronous client reads each unit's status once a second, no more.

python -m bench.plain_poller UNITS PORT [PORT …]      one link a port, UNITS units on each; ends on SIGTERM
"""

import sys
import threading
import time

from pymodbus.client import ModbusTcpClient

from wastelock.registers import STATUS_ADDRESS, STATUS_WORDS

_INTERVAL_S = 1.0


def poll(port: int, units: int) -> None:
    """Read the status of units 1..`units` of one link, once a second, until the process ends."""
    client = ModbusTcpClient("127.0.0.1", port=port)
    client.connect()  # type: ignore[no-untyped-call]
    due_s = time.monotonic()
    while True:
        for unit in range(1, units + 1):
            client.read_input_registers(STATUS_ADDRESS, count=STATUS_WORDS, device_id=unit)
        due_s += _INTERVAL_S
        time.sleep(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    for argument in sys.argv[2:]:
        threading.Thread(target=poll, args=(int(argument), int(sys.argv[1])), daemon=True).start()
    threading.Event().wait()
