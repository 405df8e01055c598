"""The command line: `dragoman`."""
