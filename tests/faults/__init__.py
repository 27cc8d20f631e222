"""The project's own corpus: faults of exports, each with what a check must say of it.

PYTHONPATH=tests python -m faults [WORDS]    print the table of all cases, or of those with WORDS in their names
"""
