"""Both graphs side by side: which node is which, and where they differ."""
