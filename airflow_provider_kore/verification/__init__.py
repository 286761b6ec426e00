"""Search for users after their erasure."""
