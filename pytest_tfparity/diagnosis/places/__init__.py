"""The kinds of place where a fault can be: batch norms, weights, divergences, folds."""
