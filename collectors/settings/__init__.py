"""Settings of a command: dataclasses, the command line, YAML files."""
