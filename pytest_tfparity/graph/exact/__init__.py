"""The same graph in float64 beside itself: what it would answer if its arithmetic did not round."""
