"""The machine's health: a Raspberry Pi laid out as files, and disks that are really mounted."""
