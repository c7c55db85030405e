"""The record of a run: what its folder says, and what netc adds to it. Nothing in here imports torch on its own."""
