"""Renewal over CMP (RFC 9810, profile RFC 9483): the authority's side, for tests only."""

from ukey_harness.world.ca.cmp.routes import cmp_routes

__all__ = ["cmp_routes"]
