"""The portal's commands about accounts, by what they are about; portal/cli.py puts them together."""
