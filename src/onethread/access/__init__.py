"""Who may do what: agents, teams, roles, sessions, API keys, audit, brands."""
