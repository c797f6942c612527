"""What is declared of durable receivers: their options, retries and names, and which of them are connected."""
