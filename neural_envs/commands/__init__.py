"""The commands of this package: parse, call, print."""
