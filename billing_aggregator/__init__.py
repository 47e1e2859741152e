"""Divides a property's real waste cost among its households, from master data and ledger, down to the invoice."""
