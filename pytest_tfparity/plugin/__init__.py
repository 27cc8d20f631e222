"""The adapter to pytest: hooks, options, test items, fixtures. The only package that imports pytest."""
