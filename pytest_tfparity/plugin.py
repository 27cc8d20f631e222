"""pytest hooks and options; imports nothing heavy."""
