"""The coordinator's shell: gRPC, REST, leader election, persistence."""
