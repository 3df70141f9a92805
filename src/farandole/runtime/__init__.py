"""The reliable runtime: from fetch to ack, from outbox to broker. It knows the contracts of brokers and stores, no adapter."""
