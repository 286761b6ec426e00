"""What waits in the triggerer for erasures at Kore.ai."""
