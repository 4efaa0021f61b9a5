"""The SQL shell: scripts, and statements typed one by one."""
