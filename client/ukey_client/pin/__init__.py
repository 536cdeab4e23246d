"""Changing the PIN (密码修改)."""
