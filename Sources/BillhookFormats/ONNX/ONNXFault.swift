internal import Foundation
internal import SwiftProtobuf

/// Where bytes stop being an ONNX model.
///
/// The protobuf library says that the bytes are wrong but not where. This walk over the tags and
/// lengths of the wire format finds the place; it runs only after a failure.
struct ONNXFault {
  var location: String
  var found: String
  var expected: String

  private typealias Fields = [Int: (name: String, kind: Kind)]

  private enum Kind {
    case message(Fields)
    case text
  }

  init(in bytes: UnsafeRawBufferPointer, error: any Error) {
    location = "an unknown place"
    found = "bytes that are not a protobuf message"
    expected = "a protobuf message ModelProto"
    if case BinaryDecodingError.messageDepthLimit? = error as? BinaryDecodingError {
      location = "a subgraph"
      found = "messages nested deeper than 100 levels"
      expected = "at most 100 levels"
      return
    }
    _ = walk(bytes, 0..<bytes.count, fields: Self.model, path: "model")
  }

  private static let strings: Fields = [
    1: ("key", .text), 2: ("value", .text),
  ]
  private static let tensor: Fields = [
    8: ("name", .text), 12: ("doc_string", .text),
  ]
  private static let attribute: Fields = [
    1: ("name", .text), 5: ("t", .message(tensor)), 13: ("doc_string", .text),
    21: ("ref_attr_name", .text),
  ]
  private static let node: Fields = [
    1: ("input", .text), 2: ("output", .text), 3: ("name", .text), 4: ("op_type", .text),
    5: ("attribute", .message(attribute)), 6: ("doc_string", .text), 7: ("domain", .text),
    9: ("metadata_props", .message(strings)),
  ]
  private static let valueInfo: Fields = [
    1: ("name", .text), 3: ("doc_string", .text),
  ]
  private static let graph: Fields = [
    1: ("node", .message(node)), 2: ("name", .text), 5: ("initializer", .message(tensor)),
    10: ("doc_string", .text), 11: ("input", .message(valueInfo)),
    12: ("output", .message(valueInfo)), 13: ("value_info", .message(valueInfo)),
  ]
  private static let function: Fields = [
    1: ("name", .text), 4: ("input", .text), 5: ("output", .text), 6: ("attribute", .text),
    7: ("node", .message(node)), 8: ("doc_string", .text), 10: ("domain", .text),
    11: ("attribute_proto", .message(attribute)), 13: ("overload", .text),
    14: ("metadata_props", .message(strings)),
  ]
  private static let model: Fields = [
    2: ("producer_name", .text), 3: ("producer_version", .text), 4: ("domain", .text),
    6: ("doc_string", .text), 7: ("graph", .message(graph)),
    14: ("metadata_props", .message(strings)), 25: ("functions", .message(function)),
  ]

  /// Walks one message; true when the fault was found in it.
  private mutating func walk(
    _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>,
    fields: Fields, path: String
  ) -> Bool {
    var cursor = WireCursor(bytes, range)
    while cursor.position < range.upperBound {
      let start = cursor.position
      guard let tag = cursor.varint() else {
        return set(start, path, "a number without an end", "a field tag")
      }
      let number = Int(truncatingIfNeeded: tag >> 3)
      let field = fields[number]
      let name = "\(path).\(field?.name ?? "field \(number)")"
      guard (1...536_870_911).contains(number) else {
        return set(start, path, "field number \(number)", "a field number of 1 or more")
      }
      switch tag & 7 {
      case 0:
        guard cursor.varint() != nil else {
          return set(start, name, "a number without an end", "at most 10 bytes inside the message")
        }
      case 1, 5:
        let size = tag & 7 == 1 ? 8 : 4
        guard range.upperBound - cursor.position >= size else {
          return set(
            start, name, "\(range.upperBound - cursor.position) bytes",
            "\(size) bytes for one number")
        }
        cursor.position += size
      case 2:
        guard let length = cursor.varint() else {
          return set(start, name, "a length without an end", "the length of the field")
        }
        let available = range.upperBound - cursor.position
        guard length <= UInt64(available) else {
          return set(
            start, name, "a length of \(length) bytes",
            "at most \(available), the bytes that are left")
        }
        let content = cursor.position..<cursor.position + Int(length)
        switch field?.kind {
        case .message(let inner)?:
          if walk(bytes, content, fields: inner, path: name) { return true }
        case .text?:
          if String(validating: bytes[content], as: UTF8.self) == nil {
            return set(start, name, "bytes that are not UTF-8", "text in UTF-8")
          }
        case nil: break
        }
        cursor.position = content.upperBound
      default:
        return set(start, name, "wire type \(tag & 7)", "a wire type of 0, 1, 2 or 5")
      }
    }
    return false
  }

  private mutating func set(
    _ offset: Int, _ path: String, _ found: String, _ expected: String
  ) -> Bool {
    location = "byte \(offset) (\(path))"
    self.found = found
    self.expected = expected
    return true
  }
}
