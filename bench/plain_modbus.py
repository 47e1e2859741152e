"""The baseline for reading journals: pymodbus's synchronous clients read the same blocks, check and store nothing."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from pymodbus.client import ModbusSerialClient, ModbusTcpClient

from bench.workplace import BenchFailed
from wastelock.record import RECORD_WORDS
from wastelock.registers import STATUS_ADDRESS, STATUS_WORDS, decode_status, ring_slot

RECORDS_PER_READ = 5
_TIMEOUT_S = 2.0
Client = ModbusSerialClient | ModbusTcpClient


@dataclass(frozen=True, slots=True)
class Ring:
    """One controller's journal, as it is to be read: records `oldest` to `newest`."""

    unit: int
    capacity: int
    oldest: int
    newest: int
    confirmed: int

    @property
    def records(self) -> int:
        return self.newest - self.oldest + 1

    def blocks(self) -> list[tuple[int, int]]:
        """Return address and number of words of each read; none passes the ring's end."""
        found, seq = [], self.oldest
        while seq <= self.newest:
            count = min(RECORDS_PER_READ, self.newest - seq + 1, self.capacity - seq % self.capacity)
            found.append((ring_slot(seq, self.capacity), count * RECORD_WORDS))
            seq += count
        return found


def tcp_client(host: str, port: int) -> AbstractContextManager[Client]:
    return _connected(ModbusTcpClient(host, port=port, timeout=_TIMEOUT_S))


def serial_client(device: str, baudrate: int) -> AbstractContextManager[Client]:
    """Connect to a pseudo-terminal, which takes no parity."""
    return _connected(ModbusSerialClient(device, baudrate=baudrate, parity="N", timeout=_TIMEOUT_S))


def look_at_rings(client: Client, capacities: dict[int, int]) -> list[Ring]:
    """Return how far each unit's journal goes; `capacities`: by unit."""
    rings = []
    for unit, capacity in capacities.items():
        status = decode_status(tuple(_read(client, unit, STATUS_ADDRESS, STATUS_WORDS)))
        rings.append(Ring(unit, capacity, status.oldest_seq, status.newest_seq, status.confirmed_seq))
    return rings


def read_rings(client: Client, rings: Sequence[Ring]) -> None:
    """Read all of these journals, one after the other."""
    for ring in rings:
        for address, words in ring.blocks():
            _read(client, ring.unit, address, words)


def read_side_by_side(work: Sequence[tuple[Client, Sequence[Ring]]]) -> None:
    """Read the rings of several links at once, a thread for each link, as the agent does."""
    threads = [threading.Thread(target=read_rings, args=(client, rings)) for client, rings in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _read(client: Client, unit: int, address: int, words: int) -> Sequence[int]:
    answer = client.read_input_registers(address, count=words, device_id=unit)
    if answer.isError() or len(answer.registers) != words:
        raise BenchFailed(f"unit {unit}: {words} words at 0x{address:04X} can't be read: {answer}")
    return answer.registers


@contextmanager
def _connected(client: Client) -> Iterator[Client]:
    if not client.connect():
        raise BenchFailed(f"no connection: {client}")
    try:
        yield client
    finally:
        client.close()  # type: ignore[no-untyped-call]  # pymodbus leaves it without types
