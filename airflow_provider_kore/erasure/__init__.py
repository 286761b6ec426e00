"""Erase users: plan, submit, wait, reconcile, conclude."""
