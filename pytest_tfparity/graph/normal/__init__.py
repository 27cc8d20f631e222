"""The normal form of a graph: what its outputs compute, without how that was written down."""
