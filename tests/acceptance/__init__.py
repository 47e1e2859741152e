"""The chain of custody under faults: real processes, one sentence for each thing that must hold."""
