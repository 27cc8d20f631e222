"""The golden store: files that keep inputs and reference outputs."""
