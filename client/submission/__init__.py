"""What runs in the processes that the JobManager starts for uploaded scripts and SQL sessions."""
