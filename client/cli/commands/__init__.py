"""One module a group of commands, imported when its command runs."""
