"""Tasks that wait for erasures at Kore.ai."""
