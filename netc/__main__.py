"""`python -m netc`."""

from netc.cli import entry

if __name__ == "__main__":
    entry()
