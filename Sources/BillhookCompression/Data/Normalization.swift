public import BillhookGraph

/// What is subtracted from and divided out of each channel of an image: `(x − mean) / std`.
///
/// `x` is in 0...1 for uint8 data (the byte divided by 255), and the number itself for float data.
public struct Normalization: Sendable, Equatable, Codable {
  /// One number for all channels, or one a channel.
  public var mean: [Float]
  /// As `mean`; never 0.
  public var std: [Float]

  public init(mean: [Float], std: [Float]) {
    self.mean = mean
    self.std = std
  }

  /// The normalisation that a network's metadata states, or nil when it states none.
  ///
  /// - Throws: ``CompressionError/graph(_:)`` when the metadata cannot be understood.
  public init?(metadataOf graph: Graph) throws(CompressionError) {
    do throws(GraphError) {
      guard let stated = try graph.preprocessing() else { return nil }
      self.init(mean: stated.mean, std: stated.std)
    } catch {
      throw .graph(error)
    }
  }
}
