"""Changes of a graph: repairs, the part that outputs need, nodes as bytes."""
