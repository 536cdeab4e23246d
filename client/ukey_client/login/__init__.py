"""Logging in at the portal with a certificate (证书登录)."""
