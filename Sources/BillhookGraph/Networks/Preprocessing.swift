internal import OrderedCollections

/// Keys under which a network file says how it wants to be fed.
public enum GraphMetadata {
  /// Mean and standard deviation per channel, comma-separated, of pixels scaled to 0…1.
  public static let mean = "billhook.mean"
  public static let std = "billhook.std"
  /// The order of an image's axes: `NCHW`.
  public static let layout = "billhook.layout"
  /// Class names in the order of the logits, comma-separated.
  public static let classes = "billhook.classes"
}

/// How images become a network's input: `(pixel / 255 − mean) / std` per channel.
public struct Preprocessing: Sendable, Equatable {
  /// One number a channel, of pixels scaled to 0…1.
  public var mean: [Float]
  /// One positive number a channel.
  public var std: [Float]
  /// The order of axes; only `NCHW` is known.
  public var layout: String

  public init(mean: [Float], std: [Float], layout: String = "NCHW") {
    self.mean = mean
    self.std = std
    self.layout = layout
  }

  /// The figures of Fashion-MNIST's 60,000 training images.
  public static let fashionMNIST = Preprocessing(mean: [0.2860], std: [0.3530])

  /// The class names of Fashion-MNIST in the order of its labels.
  public static let fashionMNISTClasses = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
  ]
}

extension Graph {
  /// What the network's metadata say about its preprocessing; nil when they do not mention it.
  ///
  /// - Throws: ``GraphError/wrongMetadata(key:found:expected:)``.
  public func preprocessing() throws(GraphError) -> Preprocessing? {
    let mean = try numbers(GraphMetadata.mean)
    let std = try numbers(GraphMetadata.std)
    guard mean != nil || std != nil else { return nil }
    let count = max(mean?.count ?? 1, std?.count ?? 1)
    let result = Preprocessing(
      mean: mean ?? [Float](repeating: 0, count: count),
      std: std ?? [Float](repeating: 1, count: count),
      layout: metadata[GraphMetadata.layout] ?? "NCHW")
    guard result.mean.count == result.std.count else {
      throw .wrongMetadata(
        key: GraphMetadata.std, found: metadata[GraphMetadata.std] ?? "",
        expected: "\(result.mean.count) numbers as \"\(GraphMetadata.mean)\" has")
    }
    guard result.std.allSatisfy({ $0 > 0 }) else {
      throw .wrongMetadata(
        key: GraphMetadata.std, found: metadata[GraphMetadata.std] ?? "",
        expected: "numbers above 0")
    }
    guard result.layout == "NCHW" else {
      throw .wrongMetadata(key: GraphMetadata.layout, found: result.layout, expected: "NCHW")
    }
    return result
  }

  /// Writes the preprocessing into the metadata.
  public mutating func setPreprocessing(_ preprocessing: Preprocessing) {
    func text(_ numbers: [Float]) -> String {
      numbers.map { "\($0)" }.joined(separator: ",")
    }
    metadata[GraphMetadata.mean] = text(preprocessing.mean)
    metadata[GraphMetadata.std] = text(preprocessing.std)
    metadata[GraphMetadata.layout] = preprocessing.layout
  }

  /// Class names in the order of the logits; empty when the metadata do not name them.
  public var classNames: [String] {
    get {
      guard let text = metadata[GraphMetadata.classes], !text.isEmpty else { return [] }
      return text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    set {
      metadata[GraphMetadata.classes] = newValue.isEmpty ? nil : newValue.joined(separator: ",")
    }
  }

  private func numbers(_ key: String) throws(GraphError) -> [Float]? {
    guard let text = metadata[key] else { return nil }
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { part in Float(String(part.filter { $0 != " " })) }
    guard numbers.count == parts.count, numbers.allSatisfy(\.isFinite) else {
      throw .wrongMetadata(key: key, found: text, expected: "numbers separated by commas")
    }
    return numbers
  }
}
