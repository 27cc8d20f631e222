"""Kinds of causes: for each kind of place, how a cause that is told from such places is found and said."""
