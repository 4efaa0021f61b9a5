"""What makes jobs outlive their JobManager: leader election, durable jobs, recovery."""
