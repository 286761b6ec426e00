"""A strict, configurable local stand-in for Kore.ai's erasure API."""
