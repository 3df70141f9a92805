"""Three services that listen to each other, and the fulfilment, which is conducted inside."""
