"""Running what users upload or type: in processes of their own, never in the JobManager's."""
