"""`python -m demo`: see cli.py."""

from demo.cli import main

main()
