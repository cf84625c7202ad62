internal import Foundation

/// A model's bytes without those of its weights.
///
/// The protobuf library copies each field of bytes, and weights are most of a model. So the raw data
/// of the graph's initializers, and of tensors that are attributes of its nodes, are replaced by the
/// place where they lie before the library reads the model; from there each goes into its tensor in
/// one step. What lies in subgraphs stays as it is, and so does a model with functions of its own,
/// whose tensors go into the graph with their calls.
struct ONNXOutline {
  private(set) var bytes: [UInt8] = []

  private static let functionField: UInt64 = 25

  /// What the fields of a message are, as far as they are on the way to weights.
  private enum Level {
    case model, graph, node, attribute, tensor, weight

    func inner(_ field: UInt64) -> Level? {
      switch (self, field) {
      case (.model, 7): .graph
      case (.graph, 1): .node
      case (.graph, 5), (.attribute, 5): .tensor
      case (.node, 5): .attribute
      case (.tensor, 9): .weight
      default: nil
      }
    }
  }

  /// - Returns: nil for a model with functions of its own, for bytes that are no protobuf message, and
  ///   for one with fields of a kind that ONNX does not use.
  init?(of model: UnsafeRawBufferPointer) {
    guard outline(model, 0..<model.count, .model) else { return nil }
  }

  /// The place that stands for a weight, in bytes of the model.
  static func place(_ reference: Data) -> Range<Int> {
    let numbers = reference.withUnsafeBytes {
      ($0.loadUnaligned(as: Int.self), $0.loadUnaligned(fromByteOffset: 8, as: Int.self))
    }
    return numbers.0..<numbers.1
  }

  private mutating func outline(
    _ model: UnsafeRawBufferPointer, _ range: Range<Int>, _ level: Level
  ) -> Bool {
    var cursor = WireCursor(model, range)
    while cursor.position < range.upperBound {
      let start = cursor.position
      guard let tag = cursor.varint() else { return false }
      let content: Range<Int>
      let afterTag = cursor.position
      switch tag & 7 {
      case 0:
        guard cursor.varint() != nil else { return false }
        content = afterTag..<cursor.position
      case 1: content = afterTag..<afterTag + 8
      case 5: content = afterTag..<afterTag + 4
      case 2:
        guard let length = cursor.varint(), length <= UInt64(range.upperBound - cursor.position)
        else { return false }
        content = cursor.position..<cursor.position + Int(length)
      default: return false
      }
      let isFunction = level == .model && tag >> 3 == Self.functionField
      guard content.upperBound <= range.upperBound, !isFunction else { return false }
      cursor.position = content.upperBound
      guard tag & 7 == 2, let inner = level.inner(tag >> 3) else {
        bytes += model[start..<content.upperBound]
        continue
      }
      bytes += model[start..<afterTag]
      // A length of five bytes whatever it is, so that it can be filled in when it is known.
      let lengthPlace = bytes.count
      bytes += [0, 0, 0, 0, 0]
      if inner == .weight {
        for number in [content.lowerBound, content.upperBound] {
          withUnsafeBytes(of: number) { bytes += $0 }
        }
      } else if !outline(model, content, inner) {
        return false
      }
      let length = bytes.count - lengthPlace - 5
      guard length < 1 << 31 else { return false }
      for index in 0..<5 {
        let group = UInt8(truncatingIfNeeded: length >> (7 * index)) & 0x7F
        bytes[lengthPlace + index] = group | (index < 4 ? 0x80 : 0)
      }
    }
    return true
  }
}

/// A place in bytes of protobuf's wire format.
struct WireCursor {
  private let bytes: UnsafeRawBufferPointer
  private let end: Int
  var position: Int

  init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  /// Reads a number; nil when it does not end.
  mutating func varint() -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: 0, to: 70, by: 7) {
      guard position < end else { return nil }
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte < 0x80 { return value }
    }
    return nil
  }
}
