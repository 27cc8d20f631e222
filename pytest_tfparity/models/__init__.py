"""One file a format: load a model, run it, hand over its graph."""
