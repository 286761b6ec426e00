"""Export the data of users before their erasure."""
