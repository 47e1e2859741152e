"""The shared language: records, registers, pages, topics, messages. No I/O; imports nothing of the programs."""
