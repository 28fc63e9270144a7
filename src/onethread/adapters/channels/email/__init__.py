"""E-mail: in by LMTP, SMTP, IMAP or a signed hook; out by SMTP."""
