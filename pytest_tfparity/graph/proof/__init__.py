"""Fingerprints of what a tensor computes, and the proof that two graphs compute the same."""
