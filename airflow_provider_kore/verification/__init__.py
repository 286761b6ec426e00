"""Look for users after their erasure."""
