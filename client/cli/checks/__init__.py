"""What `lesto doctor` looks at."""
