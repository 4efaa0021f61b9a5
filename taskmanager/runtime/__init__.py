"""The worker's shell: slot processes, mailbox, operator chains, exchange."""
