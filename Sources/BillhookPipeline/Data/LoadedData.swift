public import BillhookCompression
internal import BillhookFormats
internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

/// Samples with the digest that stands for them.
public struct LoadedData: Sendable {
  public var source: DataSource
  public var dataset: Dataset
  /// SHA-256 over names, shapes and bytes of all arrays, and over the normalisation that was named.
  public var sha256: String

  /// Reads a data source into memory.
  ///
  /// - Throws: ``PipelineError``, `FormatError`, `CompressionError`: a missing file or package,
  ///   a malformed file, counts that differ.
  public init(_ source: DataSource) throws {
    self.source = source
    var (inputs, labels) = try source.arrays()
    if let channels = source.channels {
      inputs = try Self.repeating(inputs, channels: channels, source: source)
    }
    var normalization: Normalization?
    if source.mean != nil || source.std != nil {
      let count = max(source.mean?.count ?? 1, source.std?.count ?? 1)
      normalization = Normalization(
        mean: source.mean ?? [Float](repeating: 0, count: count),
        std: source.std ?? [Float](repeating: 1, count: count))
    }
    var dataset = try Dataset(
      name: source.description, inputs: inputs, labels: labels, normalization: normalization)
    if let limit = source.limit { dataset = dataset.prefix(limit) }
    for (name, tensor) in dataset.inputs { try Self.requireFinite(tensor, name, source) }
    self.dataset = dataset

    var digest = Digest()
    for (name, tensor) in dataset.inputs { digest.add(name, tensor) }
    if let labels = dataset.labels { digest.add("labels", Tensor(labels)) }
    if let normalization { digest.add("normalization", "\(normalization)") }
    sha256 = digest.text()
  }

  private static func requireFinite(
    _ tensor: Tensor, _ name: String, _ source: DataSource
  ) throws(PipelineError) {
    guard tensor.elementType.isFloatingPoint else { return }
    let found = tensor.asFloat32().withUnsafeElements(of: Float.self) { values in
      values.firstIndex { !$0.isFinite }.map { (index: $0, value: values[$0]) }
    }
    guard let found else { return }
    var place: [Int] = []
    var rest = found.index
    for size in tensor.shape.reversed() {
      place.insert(rest % size, at: 0)
      rest /= size
    }
    throw .dataSource(
      source.description,
      problem: "The array \"\(name)\" is \(found.value) at \(place), but only finite numbers can "
        + "be worked with; remove or replace such samples.")
  }

  /// Grey images `[N, H, W]` or `[N, 1, H, W]` as `[N, C, H, W]`.
  private static func repeating(
    _ inputs: OrderedDictionary<String, Tensor>, channels: Int, source: DataSource
  ) throws(PipelineError) -> OrderedDictionary<String, Tensor> {
    guard inputs.count == 1, let (name, images) = inputs.elements.first else {
      throw .dataSource(
        source.description,
        problem: "The option \"channels\" needs a single input, but there are \(inputs.count).")
    }
    let shape = images.shape
    if shape.count == 4, shape[1] == channels { return inputs }
    guard shape.count == 3 || (shape.count == 4 && shape[1] == 1) else {
      throw .dataSource(
        source.description,
        problem: "The option \"channels\" repeats grey images of shape [N, H, W] or [N, 1, H, W], "
          + "but \"\(name)\" has the shape \(shape).")
    }
    let plane = shape[shape.count - 2] * shape[shape.count - 1] * images.elementType.byteCount
    let target = [shape[0], channels, shape[shape.count - 2], shape[shape.count - 1]]
    guard Tensor.elementCount(of: target, elementType: images.elementType) != nil else {
      throw .dataSource(source.description, problem: "\(channels) channels do not fit in memory.")
    }
    var result = Tensor(zeros: target, images.elementType)
    images.withUnsafeBytes { from in
      result.withUnsafeMutableBytes { to in
        guard plane > 0 else { return }
        for image in 0..<shape[0] {
          let bytes = UnsafeRawBufferPointer(rebasing: from[image * plane..<(image + 1) * plane])
          for channel in 0..<channels {
            let start = (image * channels + channel) * plane
            UnsafeMutableRawBufferPointer(rebasing: to[start..<start + plane])
              .copyMemory(from: bytes)
          }
        }
      }
    }
    return [name: result]
  }
}

/// Reads each source once.
final class DataLoader {
  private var loaded: [DataSource: LoadedData] = [:]

  func load(_ source: DataSource) throws -> LoadedData {
    if let data = loaded[source] { return data }
    let data = try LoadedData(source)
    loaded[source] = data
    return data
  }
}
