"""One file a reader. Reports see results, never models or graphs."""
