internal import BillhookFormats
internal import BillhookTensor
internal import BillhookTestSupport
internal import Foundation
internal import OrderedCollections
internal import Testing

@Suite struct NumpyArchiveTests {
  private let folder = TemporaryFolder()

  private static let sample: OrderedDictionary<String, Tensor> = [
    "x": .counting([2, 3]), "labels": Tensor([1, -1] as [Int64]), "none": Tensor(zeros: [0, 2]),
    "größe/ä": Tensor(scalar: true),
  ]

  /// `np.savez_compressed(x=np.arange(4, dtype="<f4"), y=np.array([[True], [False]]))`, NumPy 2.4.
  private static let compressed = [UInt8](
    Data(
      base64Encoded: """
        UEsDBC0AAAAIAAAAIQBSMxP7//////////8FABQAeC5ucHkBABAAkAAAAAAAAABOAAAAAAAAAJvsF+obEMnIUMZQ\
        rZ6SWpxcpG6loG6TZqKuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GiY6mjoKtQoUAC4GMGiwBxIOQOQA\
        AFBLAwQtAAAACAAAACEA9Gx+Z///////////BQAUAHkubnB5AQAQAIIAAAAAAAAASAAAAAAAAACb7BfqGxDJyFDG\
        UK2eklqcXKRupaBek2SorqOgnpZfVFKUmBefX5SSChJ3S8wpTgWKF2ckFqQC+RpGOgqGmjoKtQpkAy5GBgBQSwEC\
        LQMtAAAACAAAACEAUjMT+04AAACQAAAABQAAAAAAAAAAAAAAgAEAAAAAeC5ucHlQSwECLQMtAAAACAAAACEA9Gx+\
        Z0gAAACCAAAABQAAAAAAAAAAAAAAgAGFAAAAeS5ucHlQSwUGAAAAAAIAAgBmAAAABAEAAAAA
        """)!)

  private func failure(_ bytes: [UInt8]) -> String {
    let path = folder.file("m.npz", bytes)
    return sentence { _ = try NumpyArchive.read(path: path) }
  }

  private func message(_ location: String, _ found: String, _ expected: String) -> String {
    """
    Cannot read "\(folder("m.npz"))" as NPZ: at \(location), found \(found), but expected \
    \(expected). The file is damaged, cut short or of another kind; copy or export it again.
    """
  }

  private func replacing(_ bytes: [UInt8], at offset: Int, _ new: [UInt8]) -> [UInt8] {
    var copy = bytes
    copy.replaceSubrange(offset..<offset + new.count, with: new)
    return copy
  }

  @Test func `arrays and their order are read as they were written`() throws {
    try NumpyArchive.write(Self.sample, to: folder("a.npz"))
    let read = try NumpyArchive.read(path: folder("a.npz"))
    #expect(Array(read.keys) == Array(Self.sample.keys))
    #expect(Array(read.values) == Array(Self.sample.values))
    try NumpyArchive.write(read, to: folder("b.npz"))
    #expect(folder.bytes("a.npz") == folder.bytes("b.npz"))
  }

  @Test func `an archive without arrays goes there and back`() throws {
    try NumpyArchive.write([:], to: folder("a.npz"))
    #expect(try NumpyArchive.read(path: folder("a.npz")).isEmpty)
  }

  @Test func `sizes and offsets of 64 bits go there and back`() throws {
    // A threshold of 1 gives every number the form that only archives beyond 4 GiB need.
    try NumpyArchive.write(Self.sample, to: folder("a.npz"), zip64Threshold: 1)
    let read = try NumpyArchive.read(path: folder("a.npz"))
    #expect(Array(read.values) == Array(Self.sample.values))
  }

  @Test func `deflated arrays with 64-bit local headers are read`() throws {
    let read = try NumpyArchive.read(path: folder.file("c.npz", Self.compressed))
    #expect(Array(read.keys) == ["x", "y"])
    #expect(read["x"] == Tensor([0, 1, 2, 3] as [Float]))
    #expect(read["y"] == Tensor([true, false], shape: [2, 1]))
  }

  @Test func `a wrong checksum is an error, stored and deflated`() throws {
    // The directory's first entry starts at byte 260, its checksum is 16 bytes further.
    #expect(
      failure(replacing(Self.compressed, at: 276, [1, 0, 0, 0]))
        == message("entry \"x.npy\"", "checksum 4212339538", "1"))
    try NumpyArchive.write(["x": Tensor([7] as [UInt8])], to: folder("a.npz"))
    let bytes = folder.bytes("a.npz")
    // The element follows the local header (30 bytes and the name) and the array's header.
    #expect(
      failure(replacing(bytes, at: 35 + 128, [8])).contains("at entry \"x.npy\", found checksum"))
  }

  @Test func `a size that the compressed bytes cannot hold allocates nothing`() {
    // The size after decompression, 24 bytes into the directory entry.
    #expect(
      failure(replacing(Self.compressed, at: 284, [255, 255, 255, 127]))
        == message(
          "entry \"x.npy\", the size", "2147483647 bytes",
          "at most 80496, which 78 compressed bytes can hold"))
  }

  @Test func `damaged and too short compressed data is an error`() {
    let data = 35 + 20
    #expect(
      failure(replacing(Self.compressed, at: data, [0xFF]))
        == message(
          "entry \"x.npy\", byte 0 of the decompressed data",
          "damaged compressed data (invalid block type)", "a valid deflate stream"))
    #expect(
      failure(replacing(Self.compressed, at: 280, [40, 0, 0, 0]))
        == message(
          "entry \"x.npy\", byte 39 of the decompressed data", "the end of the compressed data",
          "more of it"))
  }

  @Test func `entries that share bytes are refused`() {
    // The second entry's local header is set to the first one's.
    #expect(
      failure(replacing(Self.compressed, at: 260 + 51 + 42, [0, 0, 0, 0]))
        == message(
          "byte 0 (entry \"y.npy\")", "bytes that belong to two entries",
          "a start at byte 133 or later"))
  }

  @Test func `encryption and other methods are not supported`() {
    let start = "Cannot read \"\(folder("m.npz"))\" as NPZ: at entry \"x.npy\", found "
    #expect(
      failure(replacing(Self.compressed, at: 268, [1]))
        == start + "encrypted data, which is not supported. Supported: entries without a password.")
    #expect(
      failure(replacing(Self.compressed, at: 270, [12]))
        == start + """
          compression method 12, which is not supported. Supported: 0 (stored) and 8 (deflated).
          """)
  }

  @Test func `a file without a directory is an error`() {
    #expect(
      failure(Array("PK".utf8))
        == message(
          "the end of the file", "no end record of a ZIP archive",
          "one in the last 65,557 of the 2 bytes"))
  }

  @Test func `a directory that claims too much is an error`() {
    let end = Self.compressed.count - 22
    #expect(
      failure(replacing(Self.compressed, at: end + 10, [255, 255]))
        == message(
          "byte \(end) (end record)", "65535 entries in 102 bytes",
          "at least 46 bytes for each entry"))
    #expect(
      failure(replacing(Self.compressed, at: end + 16, [255, 255, 255, 255]))
        == message(
          "byte \(end) (end record)", "a directory of 102 bytes at byte 4294967295",
          "one that ends before the record"))
  }

  @Test func `an array that is wrong inside names the entry`() throws {
    try NumpyArchive.write(["x": Tensor([7] as [UInt8])], to: folder("a.npz"))
    #expect(
      sentence { try NumpyArchive.write(["x": Tensor(zeros: [1], .bfloat16)], to: folder("b.npz")) }
        == """
        Cannot write NPZ: at the element type, found bfloat16, but the format needs one of |b1, |i1, \
        |u1, <i2, <u2, <i4, <u4, <i8, <u8, <f2, <f4, <f8; convert to float32 first.
        """)
    #expect(folder.names == ["a.npz"])
  }

  @Test func `every shorter file is an error`() {
    for length in Damage.lengths(of: Self.compressed) {
      #expect(
        failure(Array(Self.compressed[..<length])).hasPrefix("Cannot read"), "length \(length)")
    }
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func `flipped bits give arrays that can be read, or an error`(seed: UInt64) throws {
    try NumpyArchive.write(
      Self.sample, to: folder("a.npz"), zip64Threshold: seed % 2 == 0 ? 1 : 1 << 31)
    for bytes in [Self.compressed, folder.bytes("a.npz")] {
      for damaged in Damage.flips(of: bytes, seed: seed, count: 20) {
        let path = folder.file("m.npz", damaged)
        guard let arrays = try? NumpyArchive.read(path: path) else { continue }
        for array in arrays.values { #expect(array.floats().count == array.count) }
      }
    }
  }
}
