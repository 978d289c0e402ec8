"""Signing in with what a house has already: OpenID Connect, LDAP, Active Directory."""
