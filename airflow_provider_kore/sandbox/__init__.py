"""A strict, configurable local stand-in for what Kore.ai's API offers around erasures."""
