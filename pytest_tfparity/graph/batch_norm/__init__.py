"""Batch norm as one thing, however a graph spells it."""
