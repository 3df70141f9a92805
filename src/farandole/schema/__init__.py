"""JSON Schema of messages: made from classes, compared, and asked what is sensitive. Pure."""
