"""Statement runs: one property and period from `open` to `settled`, each correction a revision of its own.

    states ◀── store ◀── approval, revising, deadlines, automatic ──▶ calculation ──▶ document (canonical bytes)

`document.py` is what a run comes to: everything that anybody needs to recompute it with a program of their own.
"""
