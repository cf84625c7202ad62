/// How a plugin that is made of plain functions calls them.
public struct PlainDescription: Sendable, Equatable, Codable {
  public struct Function: Sendable, Equatable, Codable {
    /// `scorer`, `loss`, `calibrate`, `quantize` or `dequantize`.
    public var role: String
    /// In one spelling.
    public var signature: String
    /// One an argument.
    public var bindings: [String]
    public var returns: String
  }
  public var functions: [Function]
  /// True when the library's debug information agrees with every signature.
  public var isChecked: Bool
  /// The manifest that says the same, as JSON.
  public var manifest: String

  /// What is known of the signatures, in words.
  public var verification: String {
    isChecked ? "checked against debug information" : "declared, unverified"
  }
}
