"""The doctor: tables of verdicts, and whole runs on lines that are broken for real."""
