internal import BillhookFormats
internal import BillhookTensor
internal import BillhookTestSupport
internal import Foundation
internal import Testing

@Suite struct IDXFileTests {
  private let folder = TemporaryFolder()

  /// [[1, -2], [300, 4]] of int16, written with Python's `gzip.compress`.
  private static let compressed = [UInt8](
    Data(base64Encoded: "H4sIAAAAAAACA2Ng4GZiYGCAYMb//xh1GFgAVbelUxQAAAA=")!)

  private func read(_ bytes: [UInt8]) throws -> Tensor {
    try IDXFile.read(path: folder.file("m.idx", bytes))
  }

  private func failure(_ bytes: [UInt8]) -> String { sentence { _ = try read(bytes) } }

  private func message(_ location: String, _ found: String, _ expected: String) -> String {
    """
    Cannot read "\(folder("m.idx"))" as IDX: at \(location), found \(found), but expected \
    \(expected). The file is damaged, cut short or of another kind; copy or export it again.
    """
  }

  @Test func `all types are read, the highest byte first`() throws {
    #expect(try read([0, 0, 8, 1, 0, 0, 0, 2, 1, 255]) == Tensor([1, 255] as [UInt8]))
    #expect(try read([0, 0, 9, 1, 0, 0, 0, 2, 1, 255]) == Tensor([1, -1] as [Int8]))
    #expect(try read([0, 0, 11, 1, 0, 0, 0, 2, 1, 2, 255, 254]) == Tensor([258, -2] as [Int16]))
    #expect(try read([0, 0, 12, 1, 0, 0, 0, 1, 0, 1, 0, 0]) == Tensor([65536] as [Int32]))
    #expect(try read([0, 0, 13, 1, 0, 0, 0, 1, 0x3F, 0xC0, 0, 0]) == Tensor([1.5] as [Float]))
    #expect(
      try read([0, 0, 14, 0, 0x3F, 0xF8, 0, 0, 0, 0, 0, 0]) == Tensor(scalar: 1.5 as Double))
  }

  @Test func `a compressed file is known by its bytes`() throws {
    let expected = Tensor([1, -2, 300, 4] as [Int16], shape: [2, 2])
    #expect(try read(Self.compressed) == expected)
  }

  @Test func `a wrong start names the byte`() {
    #expect(failure([1, 2, 8, 1]) == message("byte 0 (magic)", "1, 2", "0, 0"))
    #expect(
      failure([0, 0, 7, 1])
        == message(
          "byte 2 (element type)", "7",
          "8 (uint8), 9 (int8), 11 (int16), 12 (int32), 13 (float32), 14 (float64)"))
    #expect(failure([0, 0]) == message("byte 0", "the end after 2 bytes", "4 bytes"))
    #expect(failure([0, 0, 8, 2, 0]) == message("byte 4", "the end after 1 bytes", "8 bytes"))
  }

  @Test func `sizes that the file cannot hold allocate nothing`() {
    #expect(
      failure([0, 0, 8, 1, 255, 255, 255, 255, 1])
        == message(
          "byte 4 (sizes)", "shape [4294967295] of uint8",
          "an array that fits into the 1 bytes that can follow"))
    let huge = [UInt8](repeating: 255, count: 12)
    #expect(
      failure([0, 0, 14, 3] + huge)
        == message(
          "byte 4 (sizes)", "shape [4294967295, 4294967295, 4294967295] of float64",
          "an array that fits into the 0 bytes that can follow"))
  }

  @Test func `left-over bytes are an error, plain and compressed`() {
    #expect(
      failure([0, 0, 8, 1, 0, 0, 0, 1, 1, 2]) == message("byte 9", "1 bytes more", "the end"))
    #expect(
      failure(Self.compressed + [1, 2])
        == message(
          "byte 20 of the decompressed data", "2 bytes after the end of the compressed data",
          "the end of the file"))
  }

  @Test func `a wrong checksum of gzip is an error`() {
    var bytes = Self.compressed
    bytes[bytes.count - 5] ^= 1
    #expect(
      failure(bytes)
        == message(
          "byte 20 of the decompressed data", "damaged compressed data (incorrect data check)",
          "a valid deflate stream"))
  }

  @Test func `every shorter file is an error`() {
    let plain: [UInt8] = [0, 0, 12, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]
    for bytes in [plain, Self.compressed] {
      for length in Damage.lengths(of: bytes) {
        #expect(failure(Array(bytes[..<length])).hasPrefix("Cannot read"), "length \(length)")
      }
    }
  }

  @Test(arguments: 0..<10 as Range<UInt64>)
  func `flipped bits give an array that can be read, or an error`(seed: UInt64) {
    for damaged in Damage.flips(of: Self.compressed, seed: seed) {
      guard let array = try? read(damaged) else { continue }
      #expect(array.floats().count == array.count)
    }
  }
}
