internal import BillhookFormats
internal import BillhookTensor
internal import BillhookTestSupport
internal import Testing

@Suite struct TeacherRecordTests {
  private let folder = TemporaryFolder()

  /// Two views of three samples with four classes.
  private func record(_ name: String, key: String = "c0ffee") throws {
    let writer = try TeacherRecordWriter(
      path: folder(name), key: key, sampleCount: 3, views: 2, outputShape: [4])
    try writer.append(.counting([2, 4]))
    try writer.append(.counting([4, 4]))
    try writer.finish()
  }

  private func failure(_ bytes: [UInt8], key: String? = nil) -> String {
    let path = folder.file("m.teacher", bytes)
    return sentence { _ = try TeacherRecord.read(path: path, expectedKey: key) }
  }

  private func message(_ location: String, _ found: String, _ expected: String) -> String {
    """
    Cannot read "\(folder("m.teacher"))" as a teacher record: at \(location), found \(found), but \
    expected \(expected). The file is damaged, cut short or of another kind; copy or export it again.
    """
  }

  @Test func `rows are read as they were appended`() throws {
    try record("a.teacher")
    let read = try TeacherRecord.read(path: folder("a.teacher"), expectedKey: "c0ffee")
    #expect(read.key == "c0ffee")
    #expect(read.sampleCount == 3)
    #expect(read.views == 2)
    #expect(read.outputShape == [4])
    #expect(read.outputs.shape == [6, 4])
    #expect(read.outputs.rows(0..<2) == .counting([2, 4]))
    #expect(read.outputs.rows(2..<6) == .counting([4, 4]))
    #expect(folder.names == ["a.teacher"])
  }

  @Test(arguments: [[], [2, 3], [0]])
  func `outputs of any shape are recorded`(shape: [Int]) throws {
    let rows = Tensor.counting([5] + shape)
    let writer = try TeacherRecordWriter(
      path: folder("a.teacher"), key: String(repeating: "f", count: 128), sampleCount: 5, views: 1,
      outputShape: shape)
    try writer.append(rows)
    try writer.finish()
    #expect(try TeacherRecord.read(path: folder("a.teacher")).outputs == rows)
  }

  @Test func `a record of something else names both keys`() throws {
    try record("m.teacher")
    #expect(
      failure(folder.bytes("m.teacher"), key: "decaf")
        == """
        The teacher record "\(folder("m.teacher"))" has the key "c0ffee", but "decaf" is needed: it \
        was made from another model, other data or other preprocessing. Record the teacher again.
        """)
  }

  @Test func `rows that do not fit are refused`() throws {
    let writer = try TeacherRecordWriter(
      path: folder("a.teacher"), key: "k", sampleCount: 3, views: 1, outputShape: [4])
    try writer.append(.counting([2, 4]))
    for wrong in [Tensor.counting([2, 4]), .counting([1, 5]), .counting([4])] {
      #expect(
        sentence { try writer.append(wrong) }
          == """
          Cannot write a teacher record: at row 2, found shape \(wrong.shape) of float32, but the \
          format needs float32 rows of shape [4], at most 1 of them.
          """)
    }
    #expect(
      sentence { try writer.finish() }
        == "Cannot write a teacher record: at the end, found 2 rows, but the format needs 3.")
    #expect(!folder.names.contains("a.teacher"))
  }

  @Test func `keys and counts are checked before anything is written`() {
    for key in ["", "two words", String(repeating: "k", count: 129)] {
      #expect(
        sentence {
          _ = try TeacherRecordWriter(
            path: folder("a"), key: key, sampleCount: 1, views: 1, outputShape: [])
        } == """
          Cannot write a teacher record: at the key, found "\(key)", but the format needs 1 to 128 \
          ASCII letters and digits.
          """)
    }
    #expect(
      sentence {
        _ = try TeacherRecordWriter(
          path: folder("a"), key: "k", sampleCount: .max, views: 2, outputShape: [10])
      } == """
        Cannot write a teacher record: at the header, found \(Int.max) samples, 2 views, outputs of \
        shape [10], but the format needs at least 1 view, at most 8 axes, and rows that can be \
        addressed.
        """)
    #expect(folder.names == [])
  }

  @Test func `other files, other versions and damage are named`() throws {
    try record("a.teacher")
    let bytes = folder.bytes("a.teacher")
    func changed(_ offset: Int, _ value: UInt8) -> [UInt8] {
      var copy = bytes
      copy[offset] = value
      return copy
    }
    #expect(
      failure(changed(0, 0))
        == message(
          "byte 0 (magic)", "[0, 72, 84, 69, 65, 67, 72, 0]",
          "[66, 72, 84, 69, 65, 67, 72, 0] (\"BHTEACH\")"))
    #expect(
      failure(changed(8, 2))
        == """
        Cannot read "\(folder("m.teacher"))" as a teacher record: at byte 8 (version), found version \
        2, which is not supported. Supported: version 1; record the teacher again.
        """)
    // 64 bytes of header and 6 rows of 16 bytes; then checksum and end mark.
    #expect(bytes.count == 64 + 96 + 8)
    #expect(
      failure(Array(bytes.dropLast()))
        == message("byte 160", "a file of 167 bytes", "168 for 6 rows of shape [4]"))
    #expect(failure(changed(100, 77)).contains("at byte 160 (checksum), found "))
    #expect(
      failure(changed(167, 0)) == message("byte 164 (end mark)", "other bytes", "\"DONE\""))
    #expect(
      failure(changed(23, 0x7F))
        == message(
          "byte 16 (sample count)", "9151314442816847875 samples, 2 views, outputs of shape [4]",
          "at least 1 view, and rows that fit into memory"))
  }

  @Test func `every shorter file is an error`() throws {
    try record("a.teacher")
    let bytes = folder.bytes("a.teacher")
    for length in Damage.lengths(of: bytes) {
      #expect(failure(Array(bytes[..<length])).hasPrefix("Cannot read"), "length \(length)")
    }
  }

  @Test(arguments: 0..<10 as Range<UInt64>)
  func `flipped bits are always found`(seed: UInt64) throws {
    try record("a.teacher")
    let bytes = folder.bytes("a.teacher")
    for damaged in Damage.flips(of: bytes, seed: seed) where damaged != bytes {
      #expect(failure(damaged).hasPrefix("Cannot read"))
    }
  }
}
