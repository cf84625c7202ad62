public import BillhookGraph
internal import OrderedCollections

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

  /// The normalisation that a network's metadata states under `billhook.mean` and `billhook.std`
  /// (numbers separated by commas), or nil when it states none.
  public init?(metadataOf graph: Graph) {
    func numbers(_ key: String) -> [Float]? {
      guard let text = graph.metadata[key] else { return nil }
      let parts = text.split(separator: ",").map { part in
        Float(String(part.filter { !" []".contains($0) }))
      }
      let values = parts.compactMap { $0 }
      return values.isEmpty || values.count != parts.count ? nil : values
    }
    guard let mean = numbers("billhook.mean"), let std = numbers("billhook.std") else { return nil }
    self.init(mean: mean, std: std)
  }
}
