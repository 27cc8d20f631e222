"""One check from what is stated to a verdict. Knows nothing of pytest."""
