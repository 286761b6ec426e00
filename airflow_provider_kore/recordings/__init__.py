"""Delete the call recordings of users before their erasure."""
