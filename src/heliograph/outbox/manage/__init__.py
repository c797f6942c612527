"""What people see of deliveries, and do to them: reports, selections and operations, for the command and the admin."""
