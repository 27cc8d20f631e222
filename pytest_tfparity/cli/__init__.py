"""The command line: ``tfparity``, or ``python -m pytest_tfparity``."""
