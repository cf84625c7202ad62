internal import BillhookTensor
internal import Crypto
internal import Foundation

/// SHA-256 over labelled parts: the label and the size go in too, so that parts cannot run together.
struct Digest {
  private var hash = SHA256()

  mutating func add(_ label: String, _ text: String) {
    add(label, byteCount: text.utf8.count)
    hash.update(data: Data(text.utf8))
  }

  mutating func add(_ label: String, _ bytes: [UInt8]) {
    add(label, byteCount: bytes.count)
    hash.update(data: bytes)
  }

  mutating func add(_ label: String, _ tensor: Tensor) {
    add(label, "\(tensor.elementType)\(tensor.shape)")
    tensor.withUnsafeBytes { hash.update(bufferPointer: $0) }
  }

  private mutating func add(_ label: String, byteCount: Int) {
    hash.update(data: Data("\(label.utf8.count):\(label):\(byteCount):".utf8))
  }

  /// 64 lower-case hexadecimal digits.
  func text() -> String {
    hash.finalize().map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  /// The digest of a value's JSON with sorted keys: the same for equal values.
  static func of(_ value: some Encodable) -> String {
    var digest = Digest()
    // Plain values of strings, finite numbers and lists: encoding them cannot fail.
    digest.add("json", [UInt8](try! canonicalJSON(value)))
    return digest.text()
  }
}

/// JSON with sorted keys and no white space.
func canonicalJSON(_ value: some Encodable) throws -> Data {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return try encoder.encode(value)
}
