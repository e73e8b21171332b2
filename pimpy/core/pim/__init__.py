"""RFC 7761, a file a noun."""
