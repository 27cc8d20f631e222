"""One file a format: what it is, how it is read, how it is run."""
