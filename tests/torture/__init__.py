"""Campaigns that try to break the promises of docs/security.md: `make torture`."""
