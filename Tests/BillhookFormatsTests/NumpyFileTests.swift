internal import BillhookFormats
internal import BillhookTensor
internal import BillhookTestSupport
internal import Testing

@Suite struct NumpyFileTests {
  private let folder = TemporaryFolder()

  /// An NPY file of version `major`.0 with a header as it stands.
  static func file(_ header: String, _ data: [UInt8] = [], major: UInt8 = 1) -> [UInt8] {
    let text = Array(header.utf8)
    let length: [UInt8] = [UInt8(text.count % 256), UInt8(text.count / 256)]
    return [0x93] + Array("NUMPY".utf8) + [major, 0] + length + (major == 1 ? [] : [0, 0]) + text
      + data
  }

  static func header(_ descr: String, order: String = "False", shape: String) -> String {
    "{'descr': \(descr), 'fortran_order': \(order), 'shape': \(shape), }\n"
  }

  private func failure(_ bytes: [UInt8]) -> String {
    let path = folder.file("m.npy", bytes)
    return sentence { _ = try NumpyFile.readArray(path: path) }
  }

  private func message(_ location: String, _ found: String, _ expected: String) -> String {
    """
    Cannot read "\(folder("m.npy"))" as NPY: at \(location), found \(found), but expected \
    \(expected). The file is damaged, cut short or of another kind; copy or export it again.
    """
  }

  @Test(arguments: ElementType.allCases.filter { $0 != .bfloat16 })
  func `every element type goes there and back`(type: ElementType) throws {
    var tensor = Tensor(zeros: [2, 3], type)
    tensor.withUnsafeMutableBytes {
      for i in $0.indices { $0[i] = UInt8(type == .bool ? i % 2 : i) }
    }
    for shape in [[2, 3], [6], [1, 6, 1]] {
      try NumpyFile.writeArray(tensor.reshaped(shape), to: folder("a.npy"))
      #expect(try NumpyFile.readArray(path: folder("a.npy")) == tensor.reshaped(shape))
    }
  }

  @Test func `scalars and empty arrays go there and back`() throws {
    for tensor in [
      Tensor(scalar: 3.5 as Float), Tensor(zeros: [0]), Tensor(zeros: [3, 0, 2], .int8),
    ] {
      try NumpyFile.writeArray(tensor, to: folder("a.npy"))
      #expect(try NumpyFile.readArray(path: folder("a.npy")) == tensor)
    }
  }

  @Test func `a file is what numpy writes`() throws {
    // np.save of np.array([1, 2, 3], dtype="<i2").
    let text = "{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }"
    let header = text + String(repeating: " ", count: 117 - text.count) + "\n"
    try NumpyFile.writeArray(Tensor([1, 2, 3] as [Int16]), to: folder("a.npy"))
    #expect(folder.bytes("a.npy") == Self.file(header, [1, 0, 2, 0, 3, 0]))
  }

  @Test func `Fortran order is turned into row-major order`() throws {
    // [[1, 2, 3], [4, 5, 6]] column by column, as np.asfortranarray gives it.
    let flat = Self.file(
      Self.header("'<i2'", order: "True", shape: "(2, 3)"), [1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6, 0])
    let path = folder.file("f.npy", flat)
    #expect(
      try NumpyFile.readArray(path: path) == Tensor([1, 2, 3, 4, 5, 6] as [Int16], shape: [2, 3]))
    // Three axes: element (i, j, k) lies at i + 2j + 6k.
    let cube = folder.file(
      "c.npy", Self.file(Self.header("'|u1'", order: "True", shape: "(2, 3, 2)"), Array(0..<12)))
    #expect(
      try NumpyFile.readArray(path: cube).integers() == [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11])
  }

  @Test(arguments: [1, 2, 3] as [UInt8])
  func `every version of the format is read`(major: UInt8) throws {
    let path = folder.file(
      "v.npy", Self.file(Self.header("\"=u1\"", shape: "(2,)"), [5, 6], major: major))
    #expect(try NumpyFile.readArray(path: path) == Tensor([5, 6] as [UInt8]))
  }

  @Test func `bfloat16 cannot be written and says what to do`() {
    #expect(
      sentence { try NumpyFile.writeArray(Tensor(zeros: [1], .bfloat16), to: folder("a.npy")) }
        == """
        Cannot write NPY: at the element type, found bfloat16, but the format needs one of |b1, |i1, \
        |u1, <i2, <u2, <i4, <u4, <i8, <u8, <f2, <f4, <f8; convert to float32 first.
        """)
    #expect(folder.names == [])
  }

  @Test func `types that numpy has and tensors have not are refused`() {
    let start = "Cannot read \"\(folder("m.npy"))\" as NPY: at header field \"descr\", found "
    let types = "|b1, |i1, |u1, <i2, <u2, <i4, <u4, <i8, <u8, <f2, <f4, <f8."
    #expect(
      failure(Self.file(Self.header("'>f4'", shape: "(1,)"), [0, 0, 0, 0]))
        == start + """
          the big-endian type ">f4", which is not supported. Supported: little-endian types; convert \
          with array.astype(array.dtype.newbyteorder("<")).
          """)
    #expect(
      failure(Self.file(Self.header("'<c8'", shape: "(1,)")))
        == start + "the type \"<c8\", which is not supported. Supported: " + types)
    #expect(
      failure(Self.file(Self.header("[('a', '<i4')]", shape: "(1,)")))
        == start + "a structured type, which is not supported. Supported: " + types)
    #expect(
      failure([0x93] + Array("NUMPY".utf8) + [4, 0, 0, 0])
        == """
        Cannot read "\(folder("m.npy"))" as NPY: at byte 6 (version), found version 4.0, which is not \
        supported. Supported: versions 1.0, 2.0 and 3.0.
        """)
  }

  @Test(arguments: [
    ("[1]", "byte 10 (header)", "\"[\"", "\"{\""),
    ("{'a': }", "byte 16 (header)", "\"}\"", "a value"),
    ("{'a'", "byte 14 (header)", "the end of the header", "\":\""),
    ("{'descr': 'x", "byte 21 (header)", "\"x\"", "a closing quote"),
    ("{}", "header field \"descr\"", "no text", "a type such as \"<f4\""),
    ("{'descr': '|u1'}", "header field \"fortran_order\"", "no bool", "True or False"),
    (
      "{'descr': '|u1', 'fortran_order': False}", "header field \"shape\"", "no tuple",
      "a tuple of integers"
    ),
    (
      "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000,)}",
      "header field \"shape\"", "shape [1000000000000] of uint8",
      "an array that fits into the 0 bytes that can follow"
    ),
    (
      "{'descr': '|u1', 'fortran_order': False, 'shape': (\(Int.max), 2)}",
      "header field \"shape\"", "shape [\(Int.max), 2] of uint8",
      "an array that fits into the 0 bytes that can follow"
    ),
    (
      "{'descr': '|u1', 'fortran_order': False, 'shape': (-4,)}", "header field \"shape\"", "-4",
      "integers of 0 or more"
    ),
    (
      "{'descr': '|u1', 'fortran_order': False, 'shape': (('a', True),)}",
      "header field \"shape\"", "(\"a\", True)", "integers of 0 or more"
    ),
  ])
  func `a wrong header names the place`(
    header: String, location: String, found: String, expected: String
  ) {
    #expect(failure(Self.file(header)) == message(location, found, expected))
  }

  @Test func `other files, extra bytes and bytes that are no bool are errors`() {
    #expect(
      failure(Array("not numpy".utf8))
        == message(
          "byte 0 (magic)", "[110, 111, 116, 32, 110, 117]",
          "[147, 78, 85, 77, 80, 89] (\"\\x93NUMPY\")"))
    #expect(failure([]) == message("byte 0", "the end after 0 bytes", "8 bytes"))
    let header = Self.header("'|u1'", shape: "(2,)")
    #expect(
      failure(Self.file(header, [1, 2, 3]))
        == message(
          "byte \(10 + header.utf8.count) (elements)", "3 bytes", "2 for shape [2] of uint8"))
    #expect(
      failure(Self.file(Self.header("'|b1'", shape: "(2,)"), [1, 9]))
        == message("byte \(11 + header.utf8.count)", "9", "0 or 1, the values of a bool"))
  }

  @Test func `every shorter file is an error`() throws {
    try NumpyFile.writeArray(.counting([3, 2]), to: folder("a.npy"))
    let bytes = folder.bytes("a.npy")
    for length in Damage.lengths(of: bytes) {
      #expect(failure(Array(bytes[..<length])).hasPrefix("Cannot read"), "length \(length)")
    }
  }

  @Test(arguments: 0..<10 as Range<UInt64>)
  func `flipped bits give an array that can be read, or an error`(seed: UInt64) throws {
    try NumpyFile.writeArray(.counting([3, 2]), to: folder("a.npy"))
    for damaged in Damage.flips(of: folder.bytes("a.npy"), seed: seed) {
      let path = folder.file("m.npy", damaged)
      guard let array = try? NumpyFile.readArray(path: path) else { continue }
      #expect(array.floats().count == array.count)
    }
  }
}
