"""The operator's own invoice to the landlord (service fee, device rent): a document apart from the statements.

    master data + fees ──▶ drafting ──▶ draft ──▶ store: issue ──▶ number ──▶ cii (XML) ──▶ rules ──▶ printing (PDF)
                                                    └── one transaction; the bytes are kept and never changed

EN 16931-1 is the standard: BT-n and BG-n in comments are its terms. Start at `store.py`.
"""
