"""Talking to portals and to the services of a CA, each answer within a time and a size."""
