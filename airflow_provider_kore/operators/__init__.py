"""Tasks that submit erasures to Kore.ai."""
