"""Protocol messages (package ``lesto.v1``) and their generated stubs; regenerate with scripts/gen-protos."""
