/// The version of Billhook that plugins are told of, and that files name as their writer.
public let billhookVersion = "0.1.0"
