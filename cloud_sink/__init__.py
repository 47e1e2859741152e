"""The cloud's program: pages off MQTT into the append-only ledger, exactly once. Start at sink.py."""
