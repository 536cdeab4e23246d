"""Binding a certificate to the unit's old account (CA用户绑定)."""
