"""The service: live events in, decisions out. No torch and no table engine in the process."""
